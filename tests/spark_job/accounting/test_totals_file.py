"""The line totals of a job: each micro-batch counts once, whatever is killed, and ranges join without a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.totals_file import TotalsFile
from spark_job.errors import AccountingError
from tests.support.counts import LOG, QUERY, entry

if TYPE_CHECKING:
    from pathlib import Path


def test_sums_positions_and_the_owner_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "books.json"
    assert (TotalsFile(path).owner(), TotalsFile(path).newest_batch(), TotalsFile(path).positions()) == (None, None, {})
    totals = TotalsFile(path)
    totals.record(entry(0, 0, 10, malformed=1))
    totals.record(replace(entry(1, 10, 30), late=2))
    again = TotalsFile(path)
    assert (again.owner(), again.newest_batch(), again.positions()) == (QUERY, 1, {LOG: 30})
    assert str(again.tally(27, 1, final=False)) == "lines read 30 = counted 27 + malformed 1 + late 2"


def test_dropped_dead_letters_are_on_disk_without_another_batch(tmp_path: Path) -> None:
    path = tmp_path / "books.json"
    totals = TotalsFile(path)
    totals.record(entry(0, 0, 10, malformed=4))
    totals.add_dropped_dead_letters(3)
    totals.add_dropped_dead_letters(1)
    assert json.loads(path.read_bytes())["sums"]["dropped_dead_letters"] == 4
    assert TotalsFile(path).newest_batch() == 0


def test_a_batch_that_runs_again_changes_nothing(tmp_path: Path) -> None:
    totals = TotalsFile(tmp_path / "books.json")
    totals.record(entry(0, 0, 10))
    before = (tmp_path / "books.json").read_bytes()
    TotalsFile(tmp_path / "books.json").record(entry(0, 0, 10))
    assert (tmp_path / "books.json").read_bytes() == before
    with pytest.raises(AccountingError, match="differs from its first run"):
        totals.record(entry(0, 0, 11))


def test_gaps_and_older_batches_are_refused(tmp_path: Path) -> None:
    totals = TotalsFile(tmp_path / "books.json")
    totals.record(entry(1, 0, 10))
    with pytest.raises(AccountingError, match="read up to offset 10, micro-batch 2 starts at 12"):
        totals.record(entry(2, 12, 20))
    with pytest.raises(AccountingError, match="micro-batch 0 comes after micro-batch 1"):
        totals.record(entry(0, 0, 10))
    totals.record(replace(entry(2, 0, 0), ranges=()))
    assert totals.positions() == {LOG: 10}


def test_what_is_missing_shows_where_results_are_not_final_and_is_open_where_they_are(tmp_path: Path) -> None:
    totals = TotalsFile(tmp_path / "books.json")
    totals.record(entry(0, 0, 10, malformed=1))
    missing = totals.tally(7, 1, final=False)
    assert not missing.balanced
    still_open = totals.tally(7, 1, final=True)
    assert (still_open.open, still_open.balanced) == (2, True)
    assert totals.tally(None, 1, final=False).counted == 9
    overlapping = totals.tally(18, 2, final=False)
    assert (overlapping.counted, overlapping.balanced) == (9, True)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "books.json").write_text("[]")
    with pytest.raises(AccountingError, match="not the line totals of a job"):
        TotalsFile(tmp_path / "books.json")
