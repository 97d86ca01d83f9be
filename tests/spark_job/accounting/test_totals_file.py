"""The line totals that earlier versions kept in a file are read as they were written."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.totals_file import read_totals_file
from spark_job.errors import AccountingError
from tests.support.counts import LOG, entry

if TYPE_CHECKING:
    from pathlib import Path


def test_newest_batch_sums_and_positions_are_those_of_the_file(tmp_path: Path) -> None:
    newest = entry(1, 10, 30, malformed=1)
    fields = asdict(newest)
    del fields["too_old"]  # no version that wrote this file knew it
    sums = {"read": 30, "lost": 0, "malformed": 2, "late": 3, "missed": 0, "dropped_dead_letters": 1}
    (tmp_path / "books.json").write_text(json.dumps({"newest": fields, "sums": sums, "positions": {LOG: 30}}))
    found = read_totals_file(tmp_path / "books.json")
    assert found is not None
    assert (found.newest, found.sums, found.positions) == (newest, sums, {LOG: 30})


def test_no_file_has_no_totals(tmp_path: Path) -> None:
    assert read_totals_file(tmp_path / "books.json") is None


@pytest.mark.parametrize("text", ["[]", "{", '{"newest": {}}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "books.json").write_text(text)
    with pytest.raises(AccountingError, match="not the line totals of a job"):
        read_totals_file(tmp_path / "books.json")
