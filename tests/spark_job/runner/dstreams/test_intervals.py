"""Batch interval, window and slide: what fits, what does not, and what is said then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.errors import OptionError
from spark_job.runner.dstreams.intervals import Intervals, seconds
from spark_job.runner.dstreams.options import BatchOptions, SlidingOptions

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("batch", "window", "slide", "sentence"),
    [
        ("2s", "5s", "2s", "--window 5s is not a whole number of batches of 2s.*use 4s or 6s"),
        ("2s", "4s", "3s", "--slide 3s is not a whole number of batches of 2s.*use 2s or 4s"),
        ("2s", "1s", "2s", "--window 1s is not a whole number of batches of 2s.*use 2s or 4s"),
        ("1s", "2s", "3s", "--slide 3s is longer than --window 2s: batches between two windows would be in no window"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(batch: str, window: str, slide: str, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        SlidingOptions(batch_interval=batch, window=window, slide=slide)


def test_a_result_covers_the_batches_of_its_window() -> None:
    intervals = Intervals(SECOND, 3 * SECOND, 2 * SECOND)
    assert intervals.covered(6_000) == [4_000, 5_000, 6_000]
    assert intervals.reach == 5 * SECOND
    assert SlidingOptions(window="4s").intervals == Intervals(SECOND, 4 * SECOND, SECOND)
    assert BatchOptions(batch_interval="2s").intervals.covered(6_000) == [6_000]


@given(st.integers(1, 10_000_000))
def test_no_millisecond_is_lost_on_the_way_to_spark(milliseconds: int) -> None:
    assert int(seconds(timedelta(milliseconds=milliseconds)) * 1000) == milliseconds


def test_the_rate_limits_a_batch_but_never_to_nothing() -> None:
    assert BatchOptions().most_events(500) == 500
    assert BatchOptions(rate=100, batch_interval="2s").most_events(500) == 200
    assert BatchOptions(rate=1000).most_events(500) == 500
    assert BatchOptions(rate=1, batch_interval="100ms").most_events(500) == 1
