"""The results of a live job, as its kind of rows wants them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import SparkJobError
from spark_job.jobs import running_totals, sql, url_counts
from spark_job.jobs.options import SqlOptions, UrlCountsOptions
from spark_job.jobs.running_totals import TotalsOptions
from spark_job.runner.bridge_positions import status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.url_counts import UrlCountResults
from spark_job.runner.structured.opening import open_results

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from spark_job.runner.job_settings import JobOptions
    from spark_job.runner.structured.job import StructuredJob

pytestmark = pytest.mark.spark


def opened(
    spark: SparkSession, stack: ExitStack, folder: Path, job: StructuredJob, options: JobOptions
) -> RowResults | UrlCountResults:
    settings = JobSettings(job_folder=folder, bridges="127.0.0.1:1").of_job(job.name)
    bridges = stack.enter_context(closing(status_bridges(settings.parsed_flume_options())))
    results = open_results(job, settings, options, JobFolder(folder), spark, bridges)
    stack.enter_context(results)
    return results


def test_each_kind_of_rows_has_its_results(spark: SparkSession, tmp_path: Path) -> None:
    with ExitStack() as stack:
        counts = opened(spark, stack, tmp_path / "counts", url_counts.JOB, UrlCountsOptions(max_rows=7))
        assert isinstance(counts, UrlCountResults)
        totals = opened(spark, stack, tmp_path / "totals", running_totals.JOB.structured, TotalsOptions())
        assert isinstance(totals, RowResults)
        assert (totals.sums, totals.shape.key) == (("hits", "bytes"), ("url",))
        query = SqlOptions(query="SELECT upper(url) AS name FROM access_log")
        rows = opened(spark, stack, tmp_path / "sql", sql.for_query(query), query)
        assert isinstance(rows, RowResults)
        assert (rows.sums, rows.shape.numbered, rows.table.schema.names) == ((), True, ["row", "name"])


def test_a_function_that_spark_refuses_is_said_before_anything_runs(spark: SparkSession, tmp_path: Path) -> None:
    query = SqlOptions(query="SELECT nothing FROM access_log")
    with ExitStack() as stack, pytest.raises(SparkJobError, match="nothing"):
        opened(spark, stack, tmp_path, sql.for_query(query), query)
    assert not (tmp_path / "counts.db").exists()
