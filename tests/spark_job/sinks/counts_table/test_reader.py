"""Reading the results table: its order, its limits, and that a reader changes nothing."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.accounting.tally import Tally
from spark_job.errors import SinkError
from spark_job.sinks.counts_table.reader import CountsReader, Sums, UrlCount, Window
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counts import MINUTE_US, entry, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTS = [(1, "/b", 2), (1, "/a", 2), (1, "/missing", 9), (1, "/c", 1), (0, "/z", 1), (-1, "/before", 1)]
NEWEST = Window(MINUTE_US, 2 * MINUTE_US)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[CountsReader]:
    """A table with windows before and after the epoch."""
    with CountsTable(tmp_path / "counts.db", windows_per_line=2) as table:
        store(table, entry(0, 0, 10, malformed=2), COUNTS)
    with CountsReader(tmp_path / "counts.db") as opened:
        yield opened


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_a_window_has_its_exact_instants(start: datetime) -> None:
    start_us = (start - EPOCH) // timedelta(microseconds=1)
    window = Window(start_us, start_us + 1)
    assert (window.start, window.end) == (start, start + timedelta(microseconds=1))


def test_the_top_urls_have_most_hits_and_ties_are_ordered_by_url(reader: CountsReader) -> None:
    assert reader.top(NEWEST, 2) == [UrlCount("/missing", 9, 900, 9), UrlCount("/a", 2, 200, 0)]
    assert [count.url for count in reader.top(NEWEST, -1)] == ["/missing", "/a", "/b", "/c"]
    assert reader.top(NEWEST, 0) == []


def test_a_window_that_the_table_does_not_have_is_empty(reader: CountsReader) -> None:
    other_length = Window(NEWEST.start_us, NEWEST.end_us + 1)
    assert reader.sums(other_length) == Sums(0, 0, 0, 0)
    assert reader.top(other_length, -1) == []
    assert reader.sums(NEWEST) == Sums(urls=4, hits=14, bytes=1400, errors=9)


def test_windows_and_rows_come_oldest_first_also_from_before_the_epoch(reader: CountsReader) -> None:
    assert reader.windows() == [Window(-MINUTE_US, 0), Window(0, MINUTE_US), NEWEST]
    urls = [count.url for _, count in reader.rows()]
    assert urls == ["/before", "/z", "/missing", "/a", "/b", "/c"]


def test_the_tally_divides_by_the_windows_of_each_line(reader: CountsReader) -> None:
    assert reader.tally() == Tally(read=10, malformed=2, late=None, hits=16, windows_per_line=2, too_old=0)
    assert reader.tally().balanced


def test_a_new_table_has_no_batch_and_no_position(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db", windows_per_line=3), CountsReader(tmp_path / "counts.db") as reader:
        assert (reader.next_sequence(), reader.closed_before_us(), reader.positions()) == (0, None, {})
        assert reader.tally() == Tally(late=None, windows_per_line=3, too_old=0)
        assert (reader.windows(), list(reader.rows())) == ([], [])
        reader.verify()


def test_sequence_and_positions_are_those_of_the_newest_batch(reader: CountsReader) -> None:
    assert (reader.next_sequence(), reader.positions()) == (1, {"log-a": 10})


def test_a_table_keeps_its_id_and_each_has_another(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "a", "b"):
        with CountsTable(tmp_path / name) as table:
            ids.append(table.table_id())
    assert ids[0] == ids[1] != ids[2]


def test_a_reader_cannot_change_the_table(reader: CountsReader) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM counts")


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"none\.db"):
        CountsReader(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a?mode=rwc.db", "a#b.db", "a%20b.db", "größe 1.db"])
def test_a_path_may_have_characters_that_mean_something_in_a_uri(tmp_path: Path, name: str) -> None:
    with CountsTable(tmp_path / name) as table:
        store(table, entry(0, 0, 1), [(0, "/a", 1)])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with CountsReader(tmp_path / name) as reader:
        assert reader.total("hits") == 1


def test_a_file_of_another_kind_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database\n" * 100)
    with CountsReader(tmp_path / "notes.db") as reader, pytest.raises(SinkError, match=r"notes\.db: the results table"):
        reader.tally()
