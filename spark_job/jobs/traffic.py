"""The job ``traffic``: adds up requests and bytes over a window that slides with every batch.

``reduceByWindow`` reduces the whole window to one value. Its inverse function subtracts what leaves the window, so the
cost of a slide does not grow with the window.

Bounded run: the newest window, which holds every line unless the run took longer than the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_job.jobs.pairs import minus, plus
from spark_job.runner.dstreams.decoder import AccessLines, rows_of
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.dstreams.options import SlidingOptions

if TYPE_CHECKING:
    from pyspark.streaming.dstream import DStream

    from spark_job.jobs.pairs import Pair
    from spark_job.runner.job_settings import JobSettings


def traffic(tables: DStream[Any], options: SlidingOptions) -> DStream[Pair]:
    """Add up requests and bytes of the window."""
    window, slide = seconds(options.intervals.window), seconds(options.intervals.slide)
    return tables.flatMap(rows_of).map(lambda line: (1, line.bytes or 0)).reduceByWindow(plus, minus, window, slide)


def decoder(settings: JobSettings, _options: SlidingOptions) -> AccessLines:
    """Return the decoder for the one column needed."""
    return AccessLines(("bytes",), settings.log_format, settings.url, settings.timezone)


JOB = DStreamJob(
    name="traffic",
    options=SlidingOptions,
    kind="window",
    decoder=decoder,
    rows=traffic,
    columns={"requests": pa.int64(), "bytes": pa.int64()},
    key=(),
)
