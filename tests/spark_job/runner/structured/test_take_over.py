"""Line totals of an earlier version move into the results table, once, whatever was killed before."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pytest

from spark_job.errors import JobFolderError
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.results.embedded_table import EmbeddedTable
from spark_job.runner.structured.take_over import take_over_totals
from spark_job.sinks.database import parse_database_url, write_batch
from tests.support.counts import LOG, QUERY, entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spark_job.accounting.ledger import LedgerEntry

SCHEMA = pa.schema([("url", pa.string()), ("hits", pa.int64())])


class Entries:
    """The ledger of the query that stored the rows; it can still make the entry of its newest batch."""

    def __init__(self, *entries: LedgerEntry) -> None:
        self._entries = {each.batch_id: each for each in entries}

    def entry(self, batch_id: int) -> LedgerEntry:
        return self._entries[batch_id]


def earlier_version(folder: JobFolder, *, rows_of: int, totals_of: int) -> None:
    """Leave what an earlier version left whose rows and totals were stored up to these batches of one line each."""
    for number in range(rows_of + 1):
        rows = pa.Table.from_pylist([{"url": "/", "hits": number + 1}], schema=SCHEMA)
        target = parse_database_url(f"sqlite:///{folder.counts}")
        write_batch(target, "by_url", ("url",), rows, query_id=QUERY, batch_id=number)
    sums = {"read": totals_of + 1, "lost": 0, "malformed": 0, "late": 0, "missed": 0, "dropped_dead_letters": 0}
    fields = {"newest": asdict(entry(totals_of, totals_of, totals_of + 1)), "sums": sums}
    folder.totals.write_text(json.dumps({**fields, "positions": {LOG: totals_of + 1}}))


@contextmanager
def table_of(folder: JobFolder, **options: Any) -> Iterator[EmbeddedTable]:
    with EmbeddedTable(folder.counts, "by_url", SCHEMA, ("url",), counted="hits", **options) as table:
        yield table


def newest(table: EmbeddedTable) -> tuple[str, int]:
    found = table.newest_stored()
    assert found is not None
    return found.query_id, found.batch_id


@pytest.mark.parametrize("sums", [("hits",), ()])
def test_totals_of_the_same_batch_go_on(tmp_path: Path, sums: tuple[str, ...]) -> None:
    folder = JobFolder(tmp_path)
    earlier_version(folder, rows_of=2, totals_of=2)
    with table_of(folder, sums=sums) as table:
        take_over_totals(folder, table, cast("Any", Entries()), sums=bool(sums))
        assert (newest(table), table.next_sequence()) == ((QUERY, 2), 3)
        assert table.positions() == {LOG: 3}
        assert not folder.totals.exists()
        assert (table.tally() if sums else table.tally_with(3, final=False)).balanced


def test_sums_that_are_a_batch_ahead_take_its_entry_along(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    earlier_version(folder, rows_of=3, totals_of=2)
    with table_of(folder, sums=("hits",)) as table:
        take_over_totals(folder, table, cast("Any", Entries(entry(3, 3, 4))), sums=True)
        assert (newest(table), table.positions()) == ((QUERY, 3), {LOG: 4})
        assert str(table.tally()) == "lines read 4 = counted 4 + malformed 0"


def test_absolute_rows_that_are_a_batch_ahead_are_stored_again(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    earlier_version(folder, rows_of=3, totals_of=2)
    with table_of(folder) as table:
        take_over_totals(folder, table, cast("Any", Entries()), sums=False)
        assert (newest(table), table.positions()) == ((QUERY, 2), {LOG: 3})
        table.record(entry(3, 3, 4), pa.Table.from_pylist([{"url": "/", "hits": 4}], schema=SCHEMA))
        assert (table.count_hits(), table.next_sequence()) == (4, 4)


@pytest.mark.parametrize("committed", [True, False])
def test_a_batch_that_spark_has_committed_does_not_run_again(tmp_path: Path, *, committed: bool) -> None:
    folder = JobFolder(tmp_path)
    earlier_version(folder, rows_of=2, totals_of=2)
    commits = folder.checkpoint.folder / "commits"
    commits.mkdir(parents=True)
    (commits / ("2" if committed else "1")).write_text("v1\n{}")
    with table_of(folder) as table:
        take_over_totals(folder, table, cast("Any", Entries()), sums=False)
        found = table.newest_stored()
        assert found is not None
        assert found.settled == committed


def test_a_table_that_is_behind_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    earlier_version(folder, rows_of=1, totals_of=2)
    with table_of(folder, sums=("hits",)) as table:
        with pytest.raises(JobFolderError, match=r"ends at micro-batch 1, .* at 2: was the table replaced"):
            take_over_totals(folder, table, cast("Any", Entries()), sums=True)
        assert (table.newest_stored(), folder.totals.exists()) == (None, True)


def test_what_was_taken_over_before_a_kill_is_not_taken_over_again(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    earlier_version(folder, rows_of=2, totals_of=2)
    again = folder.totals.read_bytes()
    with table_of(folder, sums=("hits",)) as table:
        take_over_totals(folder, table, cast("Any", Entries()), sums=True)
        folder.totals.write_bytes(again)
        take_over_totals(folder, table, cast("Any", Entries()), sums=True)
        assert (table.tally().read, folder.totals.exists()) == (3, False)
