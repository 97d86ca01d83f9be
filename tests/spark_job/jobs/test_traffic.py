"""The job traffic on a made-up access log, compared with sums of the lines by other means."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.jobs import traffic
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.sink_spec import parse_sink
from tests.support.classic_jobs import SHORT, parsed, results, window

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_requests_and_bytes_of_a_sliding_window(spark: SparkSession, tmp_path: Path) -> None:
    found, _ = results(spark, tmp_path, traffic.JOB, SHORT)
    for second in range(1, 7):
        sizes = [size for _, _, size, _ in parsed(window(second))]
        assert found[second] == {(): (len(sizes), sum(sizes))}, second


def test_options_that_cannot_be_used_are_refused_before_spark_starts(tmp_path: Path) -> None:
    settings = JobSettings().of_job("any")
    with pytest.raises(OptionError, match=r"--trigger is for .* --batch-interval is the time between"):
        traffic.JOB.check(settings.model_copy(update={"trigger": timedelta(0)}), SHORT)
    with pytest.raises(OptionError, match=r"--time is for .* a line belongs to the batch in which it is read"):
        traffic.JOB.check(settings.model_copy(update={"time": "arrival"}), SHORT)
    with pytest.raises(OptionError, match=r"parquet:.*Parquet files are for url-counts"):
        traffic.JOB.check(settings.model_copy(update={"sinks": (parse_sink(f"parquet:{tmp_path}/x"),)}), SHORT)
