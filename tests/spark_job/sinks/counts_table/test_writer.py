"""The results table stores each micro-batch once, and deletes old windows without losing a hit."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.common.text import EPOCH
from spark_job.errors import AccountingError, JobFolderError, SinkError
from spark_job.sinks.counts_table.reader import CountsReader, Sums, UrlCount, Window
from spark_job.sinks.counts_table.retention import Retention
from spark_job.sinks.counts_table.schema import ARROW_SCHEMA
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counts import MINUTE_US, content, entry, rows, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.counts import Count


@pytest.fixture
def table(tmp_path: Path) -> Iterator[CountsTable]:
    with CountsTable(tmp_path / "counts.db") as opened:
        yield opened


def test_batches_add_to_what_is_there(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 3), (0, "/b", 2)])
    changed = store(table, entry(1, 5, 9), [(0, "/a", 2), (1, "/a", 2)])
    assert content(table) == {(0, "/a"): 5, (0, "/b"): 2, (1, "/a"): 2}
    assert changed.windows == [Window(MINUTE_US, 2 * MINUTE_US), Window(0, MINUTE_US)]
    assert table.sums(Window(0, MINUTE_US)) == Sums(urls=2, hits=7, bytes=700, errors=0)
    assert table.top(Window(0, MINUTE_US), 1) == [UrlCount("/a", 5, 500, 0)]
    assert table.positions() == {"log-a": 9}
    assert table.tally().balanced
    table.verify()


def test_the_rows_that_a_batch_changed_have_the_values_of_the_table(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 3), (0, "/b", 2)])
    store(table, entry(1, 5, 9), [(0, "/a", 2), (1, "/a", 2)])
    assert table.changed_rows().sort_by("window_start").equals(rows((0, "/a", 5), (1, "/a", 2)).cast(ARROW_SCHEMA))
    store(table, entry(2, 9, 9))
    assert table.changed_rows().equals(ARROW_SCHEMA.empty_table())


def test_a_batch_that_comes_again_changes_nothing_and_names_its_windows(table: CountsTable) -> None:
    first = store(table, entry(0, 0, 5, malformed=1), [(0, "/a", 4)])
    again = store(table, entry(0, 0, 5, malformed=1), [(0, "/a", 4)])
    assert again.windows == first.windows
    assert again.tally == first.tally
    assert (table.next_sequence(), content(table)) == (1, {(0, "/a"): 4})
    table.verify()


def test_an_older_batch_that_comes_again_changes_nothing(table: CountsTable) -> None:
    store(table, entry(0, 0, 4), [(0, "/a", 4)])
    store(table, entry(1, 4, 9), [(0, "/a", 5)])
    store(table, entry(0, 0, 4), [(0, "/a", 4)])
    assert content(table) == {(0, "/a"): 9}


def test_a_batch_that_comes_again_with_other_lines_is_refused(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with pytest.raises(AccountingError, match=r"stored as .*\[0, 5\].* came again as .*lines of its range have"):
        store(table, entry(0, 0, 5, malformed=1), [(0, "/a", 4)])
    with pytest.raises(AccountingError, match=r"stored as .*\[0, 5\].* came again as .*\[0, 6\]"):
        store(table, entry(0, 0, 6), [(0, "/a", 6)])


def test_a_new_query_goes_on_where_the_table_stands(table: CountsTable) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    store(table, entry(0, 5, 6, query_id="another"), [(0, "/a", 1)])
    assert content(table) == {(0, "/a"): 6}
    assert (table.positions(), table.next_sequence()) == ({"log-a": 6}, 2)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (3, 9), (6, 9)])
def test_a_batch_that_does_not_begin_where_the_table_stands_leaves_nothing_behind(
    table: CountsTable, start: int, end: int
) -> None:
    store(table, entry(0, 0, 5), [(0, "/a", 5)])
    with pytest.raises(
        AccountingError, match=f"counted up to offset 5, micro-batch 7 of query another covers offsets {start} to {end}"
    ):
        store(table, entry(7, start, end, query_id="another"), [(0, "/a", 8)])
    assert content(table) == {(0, "/a"): 5}
    assert table.tally().read == 5
    table.verify()


def test_the_sum_does_not_hold_when_a_count_is_wrong(table: CountsTable) -> None:
    assert not store(table, entry(0, 0, 5), [(0, "/a", 4)]).tally.balanced


def test_windows_over_the_age_are_closed_then_archived_and_still_summed(tmp_path: Path) -> None:
    instants = iter([5, 7, 7, 7])
    retention = Retention(age=timedelta(minutes=5))
    with CountsTable(
        tmp_path / "counts.db", retention=retention, now=lambda: EPOCH + timedelta(minutes=next(instants))
    ) as table:
        store(table, entry(0, 0, 6), [(0, "/a", 1), (1, "/a", 2), (4, "/a", 2), (9_000, "/a", 1)])
        assert table.closed_before_us() == 2 * MINUTE_US, "a line dated in the future closes nothing"
        assert len(content(table)) == 4, "the sinks have not copied the batch yet"
        changed = store(table, entry(1, 6, 8, too_old=1), [(1, "/a", 1), (4, "/a", 1)])
        assert changed.windows == [Window(4 * MINUTE_US, 5 * MINUTE_US)]
        assert content(table) == {(4, "/a"): 3, (9_000, "/a"): 1}
        assert table.total("archived_windows") == 2
        assert (table.tally().hits, table.tally().too_old) == (7, 1)
        assert table.tally().balanced
        table.verify()


@pytest.mark.parametrize("batches", [1, 2])
def test_what_is_too_old_does_not_depend_on_the_size_of_micro_batches(tmp_path: Path, batches: int) -> None:
    now = EPOCH + timedelta(minutes=7)
    counts: list[Count] = [(0, "/a", 1), (6, "/a", 1)]
    with CountsTable(tmp_path / "counts.db", retention=Retention(timedelta(minutes=5)), now=lambda: now) as table:
        if batches == 1:
            store(table, entry(0, 0, 2, too_old=1), counts)
        else:
            store(table, entry(0, 0, 1), counts[1:])
            store(table, entry(1, 1, 2, too_old=1), counts[:1])
        assert content(table) == {(6, "/a"): 1}
        assert table.tally().balanced
        table.verify()


def test_over_the_number_of_rows_the_oldest_windows_go_but_never_the_newest(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db", retention=Retention(max_rows=2)) as table:
        store(table, entry(0, 0, 4), [(minute, "/a", 1) for minute in range(4)])
        assert table.closed_before_us() == 2 * MINUTE_US
        store(table, entry(1, 4, 5), [(7, "/a", 1)])
        assert content(table) == {(2, "/a"): 1, (3, "/a"): 1, (7, "/a"): 1}
        store(table, entry(2, 5, 9), [(7, f"/{n}", 1) for n in range(4)])
        assert table.closed_before_us() == 4 * MINUTE_US
        store(table, entry(3, 9, 10), [(7, "/a", 1)])
        assert len(content(table)) == 5, "one window has more rows than the limit"
        assert table.tally().balanced
        table.verify()


def test_what_is_closed_stays_closed(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db", retention=Retention(max_rows=1)) as table:
        store(table, entry(0, 0, 2), [(5, "/a", 1), (6, "/a", 1)])
    now = EPOCH + timedelta(minutes=3)
    retention = Retention(age=timedelta(minutes=1))
    with CountsTable(tmp_path / "counts.db", retention=retention, now=lambda: now) as table:
        assert table.closed_before_us() == 6 * MINUTE_US
        store(table, entry(1, 2, 3, too_old=1), [(3, "/a", 1)])
        assert (table.closed_before_us(), content(table)) == (6 * MINUTE_US, {(6, "/a"): 1})


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
        store(table, entry(1, 5, 6), [(0, "/a", 1)])
        assert content(reader) == {(0, "/a"): 6}
        assert reader.tally() == table.tally()


def test_a_reader_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"none\.db"):
        CountsReader(tmp_path / "none.db")


KILLED_IN_A_TRANSACTION = """
import os, sys
from pathlib import Path
from spark_job.sinks.counts_table.schema import ARROW_SCHEMA
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counts import entry, rows, store
table = CountsTable(Path(sys.argv[1]))
store(table, entry(0, 0, 5), [(0, "/a", 5)])
table.records.add = lambda **terms: os._exit(9)
store(table, entry(1, 5, 8), [(0, "/a", 3)])
"""


def test_a_process_that_dies_inside_a_transaction_leaves_the_batch_before(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    died = subprocess.run([sys.executable, "-c", KILLED_IN_A_TRANSACTION, path], check=False)
    assert died.returncode == 9
    with CountsTable(path) as table:
        assert content(table) == {(0, "/a"): 5}
        store(table, entry(1, 5, 8), [(0, "/a", 3)])
        assert content(table) == {(0, "/a"): 8}
        assert table.tally().balanced


urls = st.text(st.characters(codec="utf-8"), max_size=30)
batches = st.lists(
    st.dictionaries(st.tuples(st.integers(-3, 3), urls), st.integers(1, 1000), max_size=8), min_size=1, max_size=6
)


@settings(max_examples=25)
@given(batches=batches, again=st.data())
def test_any_urls_in_any_order_with_any_repeats_and_queries_add_up(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[tuple[int, str], int]], again: st.DataObject
) -> None:
    expected: Counter[tuple[int, str]] = Counter()
    offset = 0
    path = tmp_path_factory.mktemp("table") / "counts.db"
    query = 0
    for number, batch in enumerate(batches):
        expected.update(batch)
        counts: list[Count] = [(minute, url, hits) for (minute, url), hits in batch.items()]
        read = sum(batch.values())
        query += again.draw(st.integers(0, 1))
        with CountsTable(path) as table:
            for _ in range(again.draw(st.integers(1, 2))):
                table.record(entry(number, offset, offset + read, query_id=f"query-{query}"), rows(*counts))
            offset += read
            assert content(table) == expected
            assert table.tally().balanced
            assert table.tally().read == offset
            table.verify()
