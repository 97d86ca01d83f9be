"""The job ``url-counts``: counts how often each URL was requested, in windows of time.

The function is what one would write over a table. :mod:`spark_job.runner.counts_table_run` calls it with the lines of
each micro-batch and adds its results up in the results table, so every line counts, however old it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.jobs.options import UrlCountsOptions
from spark_job.runner.counts_table_job import CountsTableJob
from spark_job.runner.structured.job import StructuredJob
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def url_counts(lines: DataFrame, options: UrlCountsOptions) -> DataFrame:
    """Return hits, bytes and errors of each URL in each window."""
    return count_urls(lines, options.windows.length, options.windows.slide)


JOB = CountsTableJob(
    bounded=StructuredJob(
        name="url-counts",
        options=UrlCountsOptions,
        rows=url_counts,
        key=("window_start", "window_end", "url"),
        counted="hits",
        lateness=lambda options: options.windows,
    )
)
