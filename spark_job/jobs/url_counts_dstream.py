"""The job ``url-counts-dstream``: counts requests per URL, in a window that slides with every batch.

The same question as ``url-counts``, in the classic API. There the time in the line decides its window; here it is the
batch that reads the line, and the window consists of the newest batches. With the inverse function a slide costs two
batches, the one that enters and the one that leaves, however long the window is. The filter drops URLs without requests
in the window; otherwise every URL ever seen would stay, with 0 hits.

Bounded run: the newest window, which holds every line unless the run took longer than the window.
"""

from __future__ import annotations

from operator import add, sub
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_job.runner.dstreams.decoder import AccessLines, rows_of
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.dstreams.options import SlidingOptions

if TYPE_CHECKING:
    from pyspark.streaming.dstream import DStream

    from spark_job.runner.job_settings import JobSettings


def url_counts(tables: DStream[Any], options: SlidingOptions) -> DStream[tuple[str, int]]:
    """Count the URLs of the window."""
    window, slide = seconds(options.intervals.window), seconds(options.intervals.slide)
    return (
        tables.flatMap(rows_of)
        .filter(lambda line: line.url is not None)
        .map(lambda line: (line.url, 1))
        .reduceByKeyAndWindow(add, sub, window, slide, filterFunc=lambda count: count[1] > 0)
    )


def decoder(settings: JobSettings, _options: SlidingOptions) -> AccessLines:
    """Return the decoder for the one column needed."""
    return AccessLines(("url",), settings.log_format, settings.url, settings.timezone)


JOB = DStreamJob(
    name="url-counts-dstream",
    options=SlidingOptions,
    kind="window",
    decoder=decoder,
    rows=url_counts,
    columns={"url": pa.string(), "hits": pa.int64()},
    key=("url",),
)
