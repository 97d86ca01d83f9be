"""Ranks of a stretch of time and of the one before, the same from the results table and from each mirror of it."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.common.text import EPOCH
from spark_job.errors import OptionError, SinkError
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.counts_copy import TABLE, CountsCopySink
from spark_job.sinks.database.top_urls import Ranked, Ranking, rank_urls
from tests.support.counts import Count, entry, store
from tests.support.results import execute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spark_job.sinks.database import DatabaseUrl


def minute(number: int) -> datetime:
    return EPOCH + timedelta(minutes=number)


def fill(folder: Path, counts: Sequence[Count], mirror: DatabaseUrl | None = None, *, length: int = 1) -> DatabaseUrl:
    """Make a results table, and a mirror of it if one is named; return the table."""
    folder.mkdir(exist_ok=True)
    (folder / "counts.db").unlink(missing_ok=True)
    with CountsTable(folder / "counts.db") as table:
        store(table, entry(0, 0, sum(hits for _, _, hits in counts)), counts, length=length)
        if mirror is not None:
            if mirror.dialect != "sqlite":
                execute(mirror, f"DROP TABLE IF EXISTS {TABLE}", "DROP TABLE IF EXISTS headrace_batches")
            CountsCopySink(mirror, table).close()
    return parse_database_url(f"sqlite:///{folder / 'counts.db'}")


def rank(
    target: DatabaseUrl, limit: int = 10, *, embedded: bool = True, last: int | None = None, at: int | None = None
) -> Ranking:
    """Rank with times as minutes."""
    with closing(Database(target)) as database:
        return rank_urls(
            database,
            limit,
            embedded=embedded,
            last=None if last is None else timedelta(minutes=last),
            at=None if at is None else minute(at),
        )


def test_the_newest_window_is_ranked_against_the_one_before(tmp_path: Path, target: DatabaseUrl) -> None:
    counts = [(0, "/a", 5), (0, "/b", 3), (0, "/gone", 1), (1, "/b", 9), (1, "/missing", 2), (1, "/a", 2), (1, "/z", 1)]
    table = fill(tmp_path / "job", counts, target)
    expected = Ranking(
        minute(1),
        minute(2),
        4,
        14,
        9,
        [Ranked(1, "/b", 9, 900, 0, 2), Ranked(2, "/a", 2, 200, 0, 1), Ranked(3, "/missing", 2, 200, 2, None)],
    )
    assert rank(table, 3) == rank(target, 3, embedded=False) == expected


def test_windows_are_added_up_and_gaps_are_no_windows(tmp_path: Path, target: DatabaseUrl) -> None:
    counts = [(0, "/a", 1), (10, "/a", 2), (12, "/a", 3), (12, "/b", 4), (14, "/c", 6)]
    table = fill(tmp_path / "job", counts, target)
    for found in (rank(table, last=5), rank(target, last=5, embedded=False)):
        assert (found.start, found.end, found.hits, found.hits_before) == (minute(10), minute(15), 15, 0)
        assert [(row.url, row.hits) for row in found.rows] == [("/c", 6), ("/a", 5), ("/b", 4)]


def test_overlapping_windows_count_each_hit_once(tmp_path: Path, target: DatabaseUrl) -> None:
    # Three minutes long, one every minute: a line of minute 5 is in the windows that start at 3, 4 and 5.
    counts = [(start, "/a", 1) for start in range(3, 9)]
    table = fill(tmp_path / "job", counts, target, length=3)
    for found in (rank(table, last=6), rank(target, last=6, embedded=False)):
        assert (found.start, found.end, found.hits) == (minute(5), minute(11), 2)


def test_a_time_names_the_newest_window_that_holds_it(tmp_path: Path, target: DatabaseUrl) -> None:
    table = fill(tmp_path / "job", [(0, "/a", 1), (1, "/b", 1), (5, "/c", 1)], target)
    for found in (rank(table, at=1), rank(target, at=1, embedded=False)):
        assert (found.start, [row.url for row in found.rows]) == (minute(1), ["/b"])
    with closing(Database(table)) as database:
        late = rank_urls(database, 5, embedded=True, at=minute(2) - timedelta(microseconds=1))
        assert late.start == minute(1)
    for at in (3, 6):
        with pytest.raises(OptionError, match=f"no window holds 1970-01-01 00:0{at}:00 UTC; the counts reach from"):
            rank(table, at=at)


def test_a_line_dated_ahead_does_not_hide_the_present(tmp_path: Path, target: DatabaseUrl) -> None:
    table = fill(tmp_path / "table", [(1, "/now", 2), (9, "/ahead", 1)], target)
    for embedded, place in ((True, table), (False, target)):
        with closing(Database(place)) as database:
            shown = rank_urls(database, 5, embedded=embedded, now=minute(3))
            assert [each.url for each in shown.rows] == ["/now"]
            # Where every line is ahead, the clock of this machine is more likely to be wrong.
            shown = rank_urls(database, 5, embedded=embedded, now=minute(0))
            assert [each.url for each in shown.rows] == ["/ahead"]


def test_what_is_not_there_is_said(tmp_path: Path, target: DatabaseUrl) -> None:
    with pytest.raises(OptionError, match="nothing is counted yet"):
        rank(fill(tmp_path / "job", []))
    if target.dialect != "sqlite":
        execute(target, f"DROP TABLE IF EXISTS {TABLE}")
    with pytest.raises(SinkError, match=r"the (table url_counts|file) does not exist"):
        rank(target, embedded=False)


def test_too_long_a_stretch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="5d are 7,200 windows of 1m; 2,000 at most can be added up"):
        rank(fill(tmp_path / "job", [(0, "/a", 1)]), last=5 * 24 * 60)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hits=st.dictionaries(
        st.tuples(st.integers(0, 12), st.sampled_from(["/a", "/b", "/c", "/d", ""])), st.integers(1, 3), min_size=1
    ),
    last=st.integers(1, 8),
)
def test_ranks_are_those_of_adding_up_by_hand(tmp_path: Path, hits: dict[tuple[int, str], int], last: int) -> None:
    found = rank(fill(tmp_path / "job", [(at, url, number) for (at, url), number in hits.items()]), 3, last=last)
    newest = max(at for at, _ in hits)

    def ranks(first: int, end: int) -> dict[str, tuple[int, int]]:
        sums: Counter[str] = Counter()
        for (at, url), number in hits.items():
            if first <= at < end:
                sums[url] += number
        ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
        return {url: (place, number) for place, (url, number) in enumerate(ordered, 1)}

    shown, before = ranks(newest + 1 - last, newest + 1), ranks(newest + 1 - 2 * last, newest + 1 - last)
    assert [(row.url, row.rank, row.hits) for row in found.rows] == [(u, *shown[u]) for u in list(shown)[:3]]
    assert [row.rank_before for row in found.rows] == [before.get(u, (None,))[0] for u in list(shown)[:3]]
    assert (found.urls, found.hits) == (len(shown), sum(number for _, number in shown.values()))
    assert found.end.tzinfo is UTC
