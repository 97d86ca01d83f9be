"""Counts per pane equal counts of lines."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse import LineParser, panes, roll_up
from tests.support.access_lines import bodies, combined

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCHEMA: dict[str, pl.DataType] = {
    "time": pl.Datetime("us", "UTC"),
    "url": pl.String(),
    "status": pl.Int32(),
    "bytes": pl.Int64(),
    "error": pl.String(),
}
TIMES = st.datetimes(datetime(1969, 12, 31, 23), datetime(1970, 1, 1, 2)).map(  # noqa: DTZ001 -- made aware below
    lambda naive: naive.replace(tzinfo=UTC)
)
LINES = st.lists(
    st.one_of(
        st.tuples(TIMES, st.sampled_from("abc"), st.none() | st.integers(100, 599), st.integers(0, 10**6), st.none()),
        st.just((None, None, None, None, "malformed")),
    ),
    max_size=30,
)
PANES = st.sampled_from([timedelta(microseconds=7), timedelta(seconds=1), timedelta(minutes=7), timedelta(hours=1)])


def frame(lines: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


def pane_of(time: datetime, pane: timedelta) -> datetime:
    return EPOCH + (time - EPOCH) // pane * pane


@given(LINES, PANES)
def test_sums_and_largest_times_are_those_of_the_lines(lines: list[tuple[object, ...]], pane: timedelta) -> None:
    expected: dict[tuple[datetime, str], tuple[datetime, int, int, int]] = {}
    for time, url, status, size, error in lines:
        if error is not None:
            continue
        assert isinstance(time, datetime)
        assert isinstance(url, str)
        assert isinstance(size, int)
        key = pane_of(time, pane), url
        latest, hits, total, errors = expected.get(key, (time, 0, 0, 0))
        is_error = isinstance(status, int) and status >= 400
        expected[key] = max(latest, time), hits + 1, total + size, errors + is_error
    rolled = roll_up(frame(lines), pane)
    found = {(pane_of(time, pane), url): (time, *sums) for time, url, *sums in rolled.iter_rows()}
    assert found == expected
    assert len(found) == len(rolled)


@given(LINES, PANES)
def test_panes_count_every_parsed_line_once(lines: list[tuple[object, ...]], pane: timedelta) -> None:
    expected = Counter(
        (pane_of(time, pane) - EPOCH) // timedelta(microseconds=1) for time, *_ in lines if isinstance(time, datetime)
    )
    counted = panes(roll_up(frame(lines), pane), pane)
    assert counted == expected
    assert list(counted) == sorted(counted)


def test_the_types_are_those_that_spark_is_given() -> None:
    parsed = LineParser("combined").parse(bodies(combined(), "x"), ["time", "url", "status", "bytes", "error"])
    rolled = roll_up(parsed, timedelta(minutes=1))
    assert dict(rolled.schema) == {
        "time": pl.Datetime("us", "UTC"),
        "url": pl.String(),
        "hits": pl.Int64,
        "bytes": pl.Int64(),
        "errors": pl.Int64,
    }
    assert rolled.rows() == [(datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC), "/", 1, 5, 0)]
