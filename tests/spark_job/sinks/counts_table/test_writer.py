"""The results table stores each micro-batch once, and deletes old windows without losing a hit."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.errors import AccountingError, JobFolderError, SinkError
from spark_job.sinks.counts_table.reader import CountsReader, Sums, UrlCount, Window
from spark_job.sinks.counts_table.writer import CountsTable, Retention
from tests.support.counts import MINUTE_US, QUERY, content, entry, rows, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.counts import Count


@pytest.fixture
def table(tmp_path: Path) -> Iterator[CountsTable]:
    with CountsTable(tmp_path / "counts.db") as opened:
        yield opened


def test_batches_bring_absolute_values(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 3), (0, "/b", 2)])
    changed = store(table, entry(1, 5, 9), [(0, "/a", 5), (1, "/a", 2)])
    assert content(table) == {(0, "/a"): 5, (0, "/b"): 2, (1, "/a"): 2}
    assert changed.windows == [Window(MINUTE_US, 2 * MINUTE_US), Window(0, MINUTE_US)]
    assert table.sums(Window(0, MINUTE_US)) == Sums(urls=2, hits=7, bytes=700, errors=0)
    assert table.top(Window(0, MINUTE_US), 1) == [UrlCount("/a", 5, 500, 0)]
    assert table.positions() == {"log-a": 9}
    assert table.tally().balanced
    table.verify()


def test_a_batch_that_comes_again_changes_nothing_and_names_its_windows(table: CountsTable) -> None:
    first = store(table, entry(0, 0, 5, malformed=1), [(0, "/a", 4)])
    again = store(table, entry(0, 0, 5, malformed=1), [(0, "/a", 4)])
    assert again.windows == first.windows
    assert again.tally == first.tally
    assert table.newest_batch() == 0
    table.verify()


def test_an_older_batch_that_comes_again_does_not_turn_counts_back(table: CountsTable) -> None:
    store(table, entry(0, 0, 4), [(0, "/a", 4)])
    store(table, entry(1, 4, 9), [(0, "/a", 9)])
    store(table, entry(0, 0, 4), [(0, "/a", 4)])
    assert content(table) == {(0, "/a"): 9}


def test_a_batch_that_comes_again_with_other_lines_is_refused(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with pytest.raises(AccountingError, match="events of its range have changed"):
        store(table, entry(0, 0, 5, malformed=1), [(0, "/a", 4)])


def test_a_batch_out_of_order_is_refused(table: CountsTable) -> None:
    with pytest.raises(AccountingError, match="micro-batch 1 does not follow None"):
        store(table, entry(1, 0, 5))
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with pytest.raises(AccountingError, match="does not follow 0, the newest"):
        store(table, entry(2, 5, 6))


def test_a_batch_of_another_query_is_refused(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with pytest.raises(AccountingError, match=f"belongs to query {QUERY}"):
        store(table, entry(1, 5, 6, query_id="another"))


def test_a_gap_between_ranges_is_refused_and_leaves_nothing_behind(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with pytest.raises(AccountingError, match="counted up to offset 5, micro-batch 1 starts at 6"):
        store(table, entry(1, 6, 9), [(0, "/a", 8)])
    assert content(table) == {(0, "/a"): 5}
    assert table.tally().read == 5
    table.verify()


def test_the_sum_does_not_hold_when_a_count_is_wrong(table: CountsTable) -> None:
    assert not store(table, entry(0, 0, 5), [(0, "/a", 4)]).tally.balanced


def test_closed_windows_over_the_age_are_archived_and_still_summed(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db", retention=Retention(age=timedelta(minutes=5))) as table:
        store(table, entry(0, 0, 3), [(0, "/a", 1), (4, "/a", 2)])
        store(table, entry(1, 3, 4, closed_minute=6), [(9, "/a", 1)])
        assert content(table) == {(4, "/a"): 2, (9, "/a"): 1}
        assert table.total("archived_windows") == 1
        assert table.tally().hits == 4
        assert table.tally().balanced
        table.verify()


def test_over_the_number_of_rows_the_oldest_closed_windows_go(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db", retention=Retention(max_rows=2)) as table:
        store(table, entry(0, 0, 4), [(minute, "/a", 1) for minute in range(4)])
        assert len(content(table)) == 4, "open windows stay whatever their number"
        store(table, entry(1, 4, 5, closed_minute=3), [(7, "/a", 1)])
        assert content(table) == {(3, "/a"): 1, (7, "/a"): 1}
        assert table.tally().balanced
        table.verify()


def test_tampering_is_found(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with sqlite3.connect(table.path) as other:
        other.execute("UPDATE counts SET hits = 6")
    other.close()
    with pytest.raises(AccountingError, match="add up to"):
        table.verify()


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(SinkError, match="cannot be used"):
        CountsTable(path)


@pytest.mark.parametrize(("version", "age"), [(99, "a newer"), (-1, "an older")])
def test_another_format_is_refused_with_what_to_do(tmp_path: Path, version: int, age: str) -> None:
    path = tmp_path / "counts.db"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(JobFolderError, match=rf"{age} headrace \(format {version}, .*use that version, or take a new"):
        CountsTable(path)


def test_others_read_while_the_job_writes(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with CountsReader(table.path) as reader:
        assert content(reader) == {(0, "/a"): 5}
        store(table, entry(1, 5, 6), [(0, "/a", 6)])
        assert content(reader) == {(0, "/a"): 6}
        assert reader.tally() == table.tally()


def test_a_reader_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"none\.db"):
        CountsReader(tmp_path / "none.db")


KILLED_IN_A_TRANSACTION = """
import os, sys
from pathlib import Path
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counts import entry, rows, store
table = CountsTable(Path(sys.argv[1]))
store(table, entry(0, 0, 5), [(0, "/a", 5)])
table._add_to_totals = lambda **terms: os._exit(9)
store(table, entry(1, 5, 8), [(0, "/a", 8)])
"""


def test_a_process_that_dies_inside_a_transaction_leaves_the_batch_before(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    died = subprocess.run([sys.executable, "-c", KILLED_IN_A_TRANSACTION, path], check=False)
    assert died.returncode == 9
    with CountsTable(path) as table:
        assert content(table) == {(0, "/a"): 5}
        store(table, entry(1, 5, 8), [(0, "/a", 8)])
        assert content(table) == {(0, "/a"): 8}
        assert table.tally().balanced


urls = st.text(st.characters(codec="utf-8"), max_size=30)
batches = st.lists(
    st.dictionaries(st.tuples(st.integers(-3, 3), urls), st.integers(1, 1000), max_size=8), min_size=1, max_size=6
)


@settings(max_examples=25)
@given(batches=batches, again=st.data())
def test_any_urls_in_any_order_with_any_repeats_end_in_the_last_values(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[tuple[int, str], int]], again: st.DataObject
) -> None:
    expected: dict[tuple[int, str], int] = {}
    offset = 0
    with CountsTable(tmp_path_factory.mktemp("table") / "counts.db") as table:
        for number, batch in enumerate(batches):
            grown = {key: expected.get(key, 0) + hits for key, hits in batch.items()}
            expected |= grown
            counts: list[Count] = [(minute, url, hits) for (minute, url), hits in grown.items()]
            read = sum(batch.values())
            for _ in range(again.draw(st.integers(1, 2))):
                table.record(entry(number, offset, offset + read), rows(*counts))
            offset += read
        assert content(table) == expected
        assert table.tally().balanced
        assert table.tally().read == offset
        table.verify()
