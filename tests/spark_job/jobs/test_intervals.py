"""The teaching job: which batches each window covers, checked to the last one on a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.jobs.intervals import JOB, IntervalsOptions
from tests.support.bridges import RealBridge
from tests.support.streams import SteppedStreams

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def test_every_result_lists_the_batches_that_it_covers(spark: SparkSession, tmp_path: Path) -> None:
    with (
        RealBridge(tmp_path / "log") as bridge,
        SteppedStreams(spark, JOB, IntervalsOptions(), bridge.address, tmp_path / "job") as streams,
    ):
        for second in range(1, 9):
            # The batch at second n gets n lines; that at 5 gets none.
            bridge.extend([b"line"] * (second if second != 5 else 0) or [])
            streams.step()
        results = streams.by_time()
        tally = streams.tally
    assert results == {
        2: {at(1): 1, at(2): 2},
        4: {at(2): 2, at(3): 3, at(4): 4},
        6: {at(4): 4, at(5): 0, at(6): 6},
        8: {at(6): 6, at(7): 7, at(8): 8},
    }
    assert (tally.read, tally.counted, tally.malformed) == (31, 31, 0)
    intervals = IntervalsOptions().intervals
    assert intervals.covered(6_000) == [4_000, 5_000, 6_000]
    assert intervals.slide == timedelta(seconds=2)
