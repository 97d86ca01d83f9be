"""Windows, panes and the count, compared with a count by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.common.durations import MILLISECOND
from spark_job.errors import OptionError
from spark_job.windows import Windows, count_urls, pane

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def milliseconds(low: int, high: int) -> st.SearchStrategy[timedelta]:
    return st.integers(low, high).map(lambda n: n * MILLISECOND)


@pytest.mark.parametrize(
    ("window", "slide", "expected"),
    [
        (5 * MINUTE, MINUTE, MINUTE),
        (HOUR, HOUR, HOUR),
        (90 * SECOND, MINUTE, 30 * SECOND),
        (300 * SECOND, SECOND, SECOND),
        (7 * MILLISECOND, 3 * MILLISECOND, MILLISECOND),
    ],
)
def test_a_pane_is_the_greatest_common_divisor(window: timedelta, slide: timedelta, expected: timedelta) -> None:
    assert pane(window, slide) == expected


@given(milliseconds(1, 10**6), milliseconds(1, 10**6), st.integers(-(10**9), 10**9))
def test_no_window_begins_or_ends_inside_a_pane(window: timedelta, slide: timedelta, number: int) -> None:
    assert not (number * slide) % pane(window, slide)
    assert not (number * slide + window) % pane(window, slide)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(OptionError, match="slide 2m is longer than window 1m"):
        Windows(MINUTE, 2 * MINUTE, MINUTE)
    with pytest.raises(OptionError, match=r"window 5m is not a whole multiple of slide 2m.*try slide 1m"):
        Windows(5 * MINUTE, 2 * MINUTE, MINUTE)


@given(
    slide_ms=st.integers(1, 50),
    per_line=st.integers(1, 12),
    start=st.integers(-50, 50),
    watermark_us=st.integers(-(10**6), 10**6),
)
def test_open_windows_are_those_that_end_after_the_watermark(
    slide_ms: int, per_line: int, start: int, watermark_us: int
) -> None:
    windows = Windows(slide_ms * per_line * MILLISECOND, slide_ms * MILLISECOND, MINUTE)
    pane_start_us, slide_us = start * slide_ms * 1000, slide_ms * 1000
    ends = [pane_start_us + slide_us * n for n in range(1, per_line + 1)]
    assert windows.open_for(pane_start_us, watermark_us) == sum(end > watermark_us for end in ends)


def at(seconds: float) -> datetime:
    return EPOCH + seconds * SECOND


LINES = [
    # time, url, status, bytes, error
    (at(0.0), "/a", 200, 10, None),
    (at(59.999999), "/a", 404, None, None),
    (at(60.0), "/a", 200, 10, None),
    (at(61.0), "/b", 500, 10, None),
    (at(61.0), "/b", None, 10, None),
    (at(-1.0), "/a", 200, 10, None),
    (None, None, None, None, "no-match"),
]


def by_hand(window_s: int, slide_s: int) -> Counter[tuple[int, str]]:
    counted: Counter[tuple[int, str]] = Counter()
    for time, url, _status, _bytes, error in LINES:
        for start in range(-10 * slide_s, 10 * slide_s, slide_s):
            if error is None and time is not None and url is not None and at(start) <= time < at(start + window_s):
                counted[start, url] += 1
    return counted


def rolled_up_lines(grain: timedelta) -> list[tuple[datetime, str, int, int, int]]:
    panes: dict[tuple[int, str], list[tuple[datetime, int, int]]] = {}
    for time, url, status, size, error in LINES:
        if error is None and time is not None and url is not None:
            panes.setdefault(((time - EPOCH) // grain, url), []).append((time, size or 0, int((status or 0) >= 400)))
    return [
        (max(time for time, _, _ in hits), url, len(hits), sum(b for _, b, _ in hits), sum(e for _, _, e in hits))
        for (_, url), hits in panes.items()
    ]


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize(("window_s", "slide_s"), [(60, 60), (120, 30), (90, 60)])
def test_raw_rows_and_roll_up_rows_give_the_same_counts(spark: SparkSession, window_s: int, slide_s: int) -> None:
    raw = spark.createDataFrame(LINES, "time timestamp, url string, status int, bytes long, error string")
    rolled_up = spark.createDataFrame(
        rolled_up_lines(pane(window_s * SECOND, slide_s * SECOND)),
        "time timestamp, url string, hits long, bytes long, errors long",
    )
    results = [
        sorted(tuple(row) for row in count_urls(frame, window_s * SECOND, slide_s * SECOND, MINUTE).collect())
        for frame in (raw, rolled_up)
    ]
    assert results[0] == results[1]
    found = {((row[0].astimezone(UTC) - EPOCH) // SECOND, row[2]): row[3] for row in results[0]}
    assert found == dict(by_hand(window_s, slide_s))
