"""The database behind the results table agrees with it, whenever it was added and whatever was killed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.sinks.counts_table.retention import Retention
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.database import counts_copy as mirror_module
from spark_job.sinks.database import read_rows
from spark_job.sinks.database.counts_copy import TABLE, CountsCopySink
from tests.support.counts import entry, store
from tests.support.results import execute, ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spark_job.sinks.database import DatabaseUrl


@pytest.fixture
def table(tmp_path: Path, target: DatabaseUrl) -> Iterator[CountsTable]:
    """A results table; on a server the mirror of the test before is taken away."""
    if target.dialect != "sqlite":
        execute(target, f"DROP TABLE IF EXISTS {TABLE}", "DROP TABLE IF EXISTS headrace_batches")
    with CountsTable(tmp_path / "counts.db", retention=Retention(max_rows=3)) as opened:
        yield opened


def agree(target: DatabaseUrl, table: CountsTable) -> bool:
    """Say whether the mirror holds exactly what the table does."""
    mirrored = [tuple(row.values()) for row in read_rows(target, TABLE)]
    return mirrored == sorted((window.start, window.end, *count) for window, count in table.rows())


def test_each_batch_is_mirrored(table: CountsTable, target: DatabaseUrl) -> None:
    with closing(CountsCopySink(target, table)) as mirror:
        mirror.write(store(table, entry(0, 0, 3), [(0, "/a", 2), (0, "/missing", 1)]))
        mirror.write(store(table, entry(1, 3, 5), [(0, "/a", 1), (1, "/a", 1)]))
        assert agree(target, table)
    assert ledger_of(target, table.table_id()) == [(1, 2)]


def test_a_mirror_that_comes_later_is_completed(
    table: CountsTable, target: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "ROWS_AT_ONCE", 2)
    store(table, entry(0, 0, 3), [(0, "/a", 2), (0, "/b", 1)])
    store(table, entry(1, 3, 5), [(1, "/a", 1)])
    for _ in range(2):
        CountsCopySink(target, table).close()
        assert agree(target, table)
    assert ledger_of(target, table.table_id()) == [(1, 0)]


def test_a_kill_between_table_and_mirror_is_made_good(table: CountsTable, target: DatabaseUrl) -> None:
    with closing(CountsCopySink(target, table)) as mirror:
        mirror.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
    killed_before_the_mirror = store(table, entry(1, 1, 2), [(0, "/a", 1)])
    with closing(CountsCopySink(target, table)) as mirror:
        assert agree(target, table)
        mirror.write(killed_before_the_mirror)
        assert agree(target, table)


def test_a_batch_that_comes_again_after_both_have_it_changes_nothing(table: CountsTable, target: DatabaseUrl) -> None:
    with closing(CountsCopySink(target, table)) as mirror:
        changed = store(table, entry(0, 0, 1), [(0, "/a", 1)])
        mirror.write(changed)
    with closing(CountsCopySink(target, table)) as mirror:
        mirror.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
        assert agree(target, table)


def test_windows_that_leave_the_table_stay_in_the_mirror(table: CountsTable, target: DatabaseUrl) -> None:
    with closing(CountsCopySink(target, table)) as mirror:
        mirror.write(store(table, entry(0, 0, 2), [(0, "/a", 1), (0, "/b", 1)]))
        mirror.write(store(table, entry(1, 2, 4), [(9, "/a", 1), (9, "/b", 1)]))
        mirror.write(store(table, entry(2, 4, 4)))
    assert len(list(table.rows())) == 2
    assert len(list(read_rows(target, TABLE))) == 4


def test_a_copy_of_another_results_table_is_refused_or_adopted(
    table: CountsTable, target: DatabaseUrl, tmp_path: Path
) -> None:
    with closing(CountsCopySink(target, table)) as mirror:
        mirror.write(store(table, entry(0, 0, 1000), [(0, "/a", 1000)]))
    (tmp_path / "another").mkdir()
    with CountsTable(tmp_path / "another" / "counts.db") as another:
        with pytest.raises(OptionError, match=f"the table {TABLE} belongs to the writer {table.table_id()} .*number 0"):
            CountsCopySink(target, another)
        store(another, entry(0, 0, 7), [(0, "/a", 7)])
        with pytest.raises(OptionError, match=f"belongs to the writer {table.table_id()} "):
            CountsCopySink(target, another)
        assert agree(target, table)
        with closing(CountsCopySink(target, table)) as running:
            CountsCopySink(target, another, adopt=True).close()
            assert agree(target, another)
            with pytest.raises(OptionError, match=f"belongs to the writer {another.table_id()} "):
                running.write(store(table, entry(1, 1000, 1001), [(0, "/a", 1)]))
        CountsCopySink(target, another).close()
        assert agree(target, another)


def test_a_table_of_that_name_that_is_something_else_is_refused(table: CountsTable, target: DatabaseUrl) -> None:
    execute(target, f"CREATE TABLE {TABLE} (url VARCHAR(200) PRIMARY KEY, hits BIGINT)")
    with pytest.raises(OptionError, match="the table url_counts does not fit the result"):
        CountsCopySink(target, table)
