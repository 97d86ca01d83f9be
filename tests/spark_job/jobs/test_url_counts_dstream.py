"""The job url-counts-dstream on a made-up access log, compared with a count of the lines by other means."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from spark_job.jobs import url_counts_dstream
from tests.support.classic_jobs import SHORT, parsed, results, window

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_urls_of_a_sliding_window_and_dead_ones_leave(spark: SparkSession, tmp_path: Path) -> None:
    found, tally = results(spark, tmp_path, url_counts_dstream.JOB, SHORT)
    for second in range(1, 7):
        assert found[second] == Counter(url for url, *_ in parsed(window(second))), second
    assert (tally.read, tally.counted, tally.malformed, tally.balanced) == (3_000, 2_994, 6, True)
    assert len(list((tmp_path / "job" / "dead-letters").rglob("*.jsonl"))) > 0
