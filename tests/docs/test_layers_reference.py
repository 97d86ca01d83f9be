"""The architecture page shows the layers that the test of the layers knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docs import layers_reference
from tests.repo.layers import CONTRACTS, UPSTREAM

if TYPE_CHECKING:
    from pathlib import Path


def test_every_package_stands_in_both_tables_with_its_modules_in_order() -> None:
    text = layers_reference.layers()
    for package in UPSTREAM:
        assert text.count(f"\n| `{package}` |") == 2
    names = " ".join(CONTRACTS["spark_job"]).split()
    row = next(line for line in text.splitlines() if line.startswith("| `spark_job` | `errors`"))
    places = [row.index(f"`{name}`") for name in names]
    assert places == sorted(places)


def test_only_the_part_between_the_marks_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "architecture.md"
    monkeypatch.setattr(layers_reference, "PAGE", page)
    page.write_text(f"before\n{layers_reference.BEGIN}of before\n{layers_reference.END}after\n")
    new = layers_reference.page()
    assert new.startswith("before\n")
    assert new.endswith("after\n")
    assert "of before" not in new
    page.write_text("no marks\n")
    with pytest.raises(LookupError, match="lacks the mark"):
        layers_reference.page()
