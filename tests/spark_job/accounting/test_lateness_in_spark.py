"""Lines that the accounting calls late are those that Spark drops: real queries, near the watermark."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pyspark.errors import StreamingQueryException

from spark_job.windows import Windows
from tests.support.bridges import RealBridge
from tests.support.counting import CountingQuery, forget_newest_commit, line

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
        CountingQuery(spark, bridge, tmp_path / "job", SLIDING) as job,
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
        tally = job.table.tally()
        assert (tally.read, tally.malformed, tally.late, tally.missed) == (17, 1, 4, 3)
        assert tally.counted == 12
        assert tally.balanced
        assert sum(count.hits for _, count in job.table.rows()) == 12 * 2 - 3
        job.table.verify()
    assert [path.name for path in (tmp_path / "job" / "dead-letters").rglob("*.jsonl")] == ["2-4.malformed.jsonl"]


def test_the_first_batch_is_compared_with_the_epoch(spark: SparkSession, tmp_path: Path) -> None:
    with (
        RealBridge(tmp_path / "log") as bridge,
        CountingQuery(spark, bridge, tmp_path / "job", TUMBLING) as job,
    ):
        entry = job.feed([line(-15), line(-5), line(5)])
        assert (entry.late_before_ms, entry.late) == (0, 2)
        assert job.table.tally().balanced
        assert job.feed([line(-5), line(6)]).late == 1
        assert job.table.tally().balanced


def test_killed_between_table_and_commit_again_and_again(spark: SparkSession, tmp_path: Path) -> None:
    """Also inside batch 0, and with the batch of a sink that failed after the table had it."""
    fed = 0
    with RealBridge(tmp_path / "log") as bridge:
        for restart in range(3):
            with CountingQuery(spark, bridge, tmp_path / "job", SLIDING, max_events=7) as job:
                second = 100 + restart * 15
                job.feed([line(second + n % 20, f"/{n % 3}") for n in range(10)] + [b"malformed"])
                fed += 11
                tally = job.table.tally()
                assert (tally.read, tally.malformed) == (fed, restart + 1)
                assert tally.balanced
                job.table.verify()
                before = list(job.table.rows())
            replayed = forget_newest_commit(tmp_path / "job")
            with CountingQuery(spark, bridge, tmp_path / "job", SLIDING, max_events=7) as job:
                job.query.processAllAvailable()
                assert job.recorder.entries[0].batch_id == replayed
                assert list(job.table.rows()) == before
                assert job.table.tally() == tally
                job.recorder.fail_in_batch = replayed + 1
                with pytest.raises(StreamingQueryException, match="crash on purpose"):
                    job.feed([line(second)])
                fed += 1
    assert not list((tmp_path / "job" / "audit").glob("*/*/*.tmp"))
