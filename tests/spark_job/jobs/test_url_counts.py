"""The job url-counts over a range of the log as a batch: the same function, the same counts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.jobs.options import UrlCountsOptions
from spark_job.jobs.url_counts import JOB
from spark_job.windows import Windows
from tests.support.bridges import RealBridge
from tests.support.counting import CountingQuery, line
from tests.support.jobs import run_over

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("slide_s", [60, 20])
def test_a_batch_counts_what_the_stream_counted(spark: SparkSession, tmp_path: Path, slide_s: int) -> None:
    windows = Windows(timedelta(minutes=1), timedelta(seconds=slide_s))
    lines = [*(line(second * 13 % 900, f"/{second % 11}") for second in range(2_000)), b"junk"]
    options = UrlCountsOptions(window=windows.length, slide=windows.slide)
    with RealBridge(tmp_path / "a") as bridge:
        bridge.extend(lines)
        rows, batch_tally = run_over(spark, JOB.bounded, options, bridge, tmp_path / "batch")
    with (
        RealBridge(tmp_path / "b") as bridge,
        CountingQuery(spark, bridge, tmp_path / "stream", windows, max_events=700) as query,
    ):
        for start in range(0, len(lines), 900):
            query.feed(lines[start : start + 900])
        streamed = {(window.start, window.end, *count) for window, count in query.table.rows()}
        tally = query.table.tally()
    names = ("window_start", "window_end", "url", "hits", "bytes", "errors")
    assert {tuple(row[name] for name in names) for row in rows} == streamed
    assert str(batch_tally) == "lines read 2,001 = counted 2,000 + malformed 1 + late 0"
    assert str(tally) == "lines read 2,001 = counted 2,000 + malformed 1 + too old 0"
