"""Lines that the accounting calls late are those that Spark drops: real queries, near the watermark."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.windows import Windows
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.watermarked import WatermarkedQuery

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SECOND = timedelta(seconds=1)
SLIDING = Windows(20 * SECOND, 10 * SECOND, 10 * SECOND)
TUMBLING = Windows(10 * SECOND, 10 * SECOND, timedelta(0))
OLD = [line(105, "/x"), line(111, "/y"), line(125, "/z")]


def test_late_and_partly_late_lines_are_those_that_spark_drops(spark: SparkSession, tmp_path: Path) -> None:
    with (
        RealBridge(tmp_path / "log") as bridge,
        WatermarkedQuery(spark, bridge, tmp_path / "job", SLIDING) as job,
    ):
        seen = [
            job.feed([line(100), line(109)]),
            job.feed([line(136), b"not a line"]),  # the next batch starts with the watermark at 126
            job.feed(OLD),  # the one before had 99: nothing is late yet
            job.feed(OLD),  # 105 is in [90,110) and [100,120), both closed; 111 misses [100,120)
            job.feed([line(140)]),  # the next batch starts with the watermark at 130
            job.feed(OLD),  # the one before had 126
            job.feed(OLD),  # a window that ends at the watermark itself is closed: 111 misses [110,130) too
        ]
        assert [(entry.late_before_ms, entry.late, entry.missed, entry.malformed) for entry in seen] == [
            (0, 0, 0, 0),
            (0, 0, 0, 1),
            (99_000, 0, 0, 0),
            (126_000, 1, 1, 0),
            (126_000, 0, 0, 0),
            (126_000, 1, 1, 0),
            (130_000, 2, 1, 0),
        ]
        assert sum(job.hits.values()) == 12 * 2 - 3


def test_the_first_batch_is_compared_with_the_epoch(spark: SparkSession, tmp_path: Path) -> None:
    with (
        RealBridge(tmp_path / "log") as bridge,
        WatermarkedQuery(spark, bridge, tmp_path / "job", TUMBLING) as job,
    ):
        entry = job.feed([line(-15), line(-5), line(5)])
        assert (entry.late_before_ms, entry.late) == (0, 2)
        assert sum(job.hits.values()) == 1
        assert job.feed([line(-5), line(6)]).late == 1
        assert sum(job.hits.values()) == 2
