"""Options of DStream jobs: how many events a batch may hold, and lengths that fit together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spark_job.errors import OptionError
from spark_job.options.command_line import read_options
from spark_job.runner.dstreams.options import BatchOptions, SlidingOptions

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("rate", "interval", "limit", "most"),
    [(0, "1s", 500, 500), (100, "2s", 500, 200), (100, "10s", 500, 500), (1, "100ms", 500, 1)],
)
def test_a_rate_limits_the_events_of_a_batch_but_never_to_none(rate: int, interval: str, limit: int, most: int) -> None:
    assert BatchOptions(rate=rate, batch_interval=interval).most_events(limit) == most


def test_a_job_without_a_window_has_one_batch_of_each() -> None:
    intervals = BatchOptions(batch_interval="2s").intervals
    assert intervals.batch == intervals.window == intervals.slide == 2 * SECOND


def test_a_window_slides_with_every_batch_unless_it_is_told_otherwise() -> None:
    assert SlidingOptions(batch_interval="2s", window="6s").intervals.slide == 2 * SECOND
    assert SlidingOptions(batch_interval="2s", window="6s", slide="4s").intervals.slide == 4 * SECOND
    with pytest.raises(OptionError, match="--window 5s is not a whole number of batches of 2s"):
        read_options(SlidingOptions, {"batch_interval": "2s", "window": "5s"})
