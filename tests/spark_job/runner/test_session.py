"""What the operator's spark-defaults.conf says goes before what Headrace would choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.runner.session import operators_choice

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_operators_settings_are_found_however_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "# spark.a 1\n\nspark.ui.enabled true\n  spark.b=2\nspark.c : 3\n! spark.d 4\nspark.driver.host\tdriver\n"
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert operators_choice() == {"spark.ui.enabled", "spark.b", "spark.c", "spark.driver.host"}


def test_without_a_folder_or_a_file_the_operator_has_chosen_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert operators_choice() == set()
    monkeypatch.delenv("SPARK_CONF_DIR")
    assert operators_choice() == set()
