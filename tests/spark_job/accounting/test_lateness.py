"""The late rules alone; test_lateness_in_spark.py compares them with what Spark drops."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.common.durations import MICROSECOND
from spark_job.accounting.lateness import Lateness, NeverLate, SessionLateness, late_and_missed
from spark_job.windows import Windows

MINUTE = timedelta(minutes=1)
MINUTE_US = MINUTE // MICROSECOND
SLIDING = Windows(2 * MINUTE, MINUTE, MINUTE)


@pytest.mark.parametrize(
    ("watermark_min", "late", "missed"),
    [
        (-1.0, 0, 0),
        # The pane of minute 0 is in [-1, 1) and [0, 2); that of minute 3 in [2, 4) and [3, 5).
        (0.999, 0, 0),
        (1.0, 0, 5),
        (1.999, 0, 5),
        (2.0, 5, 0),
        (4.0, 5, 7),
        (5.0, 12, 0),
    ],
)
def test_a_line_is_late_when_its_last_window_has_ended(watermark_min: float, late: int, missed: int) -> None:
    panes = {0: 5, 3 * MINUTE_US: 7}
    assert late_and_missed(panes, SLIDING, int(watermark_min * MINUTE_US)) == (late, missed)


@given(st.integers(1, 10**9), st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_a_line_alone_is_a_session_that_ends_a_gap_later(gap_us: int, line_us: int, watermark_us: int) -> None:
    rule: Lateness = SessionLateness(gap_us * MICROSECOND)
    late = line_us + gap_us <= watermark_us
    assert late_and_missed({line_us: 3}, rule, watermark_us) == (3 if late else 0, 0)


def test_without_a_watermark_nothing_is_late() -> None:
    rule: Lateness = NeverLate()
    assert late_and_missed({-(10**15): 4}, rule, 10**18) == (0, 0)
