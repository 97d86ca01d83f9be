"""The file that ends a bounded run: read once it is in place, refused in another form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.runner.drain_file import drain_ends, is_drained, read_drain_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", ["", "[]", '{"log": "x"}', '{"log": null}'])
def test_a_drain_file_in_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "drain").write_text(text)
    with pytest.raises(OptionError, match="--drain-to-file"):
        read_drain_file(tmp_path / "drain")


def test_a_run_without_the_file_has_no_end(tmp_path: Path) -> None:
    for path in (None, tmp_path / "not-there"):
        assert drain_ends(path) is None
        assert not is_drained(path, {"a": 10})


def test_a_run_is_drained_once_every_log_is_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "drain.json"
    path.write_text(json.dumps({"a": 5, "b": 0}))
    assert drain_ends(path) == {"a": 5, "b": 0}
    assert not is_drained(path, {})
    assert not is_drained(path, {"a": 4, "b": 9})
    assert is_drained(path, {"a": 5})
    assert is_drained(path, {"a": 6, "c": 1})
