"""The job ``url-counts``: counts how often each URL was requested, in windows of time.

Each micro-batch is counted by itself, and the results table adds the counts up, so every line counts, however old it
is. Windows leave the table by retention only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.jobs.options import UrlCountsOptions
from spark_job.runner.results.url_counts import UrlCounting
from spark_job.runner.structured.job import StructuredJob
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def url_counts(lines: DataFrame, options: UrlCountsOptions) -> DataFrame:
    """Return hits, bytes and errors of each URL in each window."""
    return count_urls(lines, options.windows.length, options.windows.slide)


JOB = StructuredJob(
    name="url-counts",
    options=UrlCountsOptions,
    rows=url_counts,
    key=("window_start", "window_end", "url"),
    counted="hits",
    lateness=lambda options: options.windows,
    sums=("hits", "bytes", "errors"),
    url_counting=lambda options: UrlCounting(options.windows, options.retention),
)
