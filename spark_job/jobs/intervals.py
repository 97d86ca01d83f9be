"""The job ``intervals``: shows which batches each window covers, on the lines of any log.

Each batch contributes its time and its number of lines, and the window collects them, so each result lists the batches
that it covers. With a batch of 1 s, a window of 3 s and a slide of 2 s::

    17:00:00 to 17:00:03                    17:00:02 to 17:00:05
           lines  batch                            lines  batch
              12  17:00:01                             9  17:00:03       the batch at :03 is in both
               7  17:00:02                             0  17:00:04
               9  17:00:03                            15  17:00:05

Bounded run: all windows. A line is counted in each window that covers its batch.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from operator import add
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from pydantic import Field

from spark_job.options.model import Flag, Length
from spark_job.runner.dstreams.decoder import TextLines
from spark_job.runner.dstreams.direct_stream import epoch_ms
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.job import INSTANT, DStreamJob
from spark_job.runner.dstreams.options import SlidingOptions

if TYPE_CHECKING:
    from pyspark.core.rdd import RDD
    from pyspark.streaming.dstream import DStream


class IntervalsOptions(SlidingOptions):
    """Options of the job: intervals so short that a window fills while one watches."""

    window: Length = Field(timedelta(seconds=3), description="Length of the window: a whole number of batches.")
    slide: Annotated[Length | None, Flag()] = Field(
        timedelta(seconds=2), description="Time between two results: a whole number of batches."
    )


def covered_batches(tables: DStream[Any], options: IntervalsOptions) -> DStream[tuple[datetime, int]]:
    """Collect the batches of the window. In so short a window Spark would not use an inverse function."""
    window, slide = seconds(options.intervals.window), seconds(options.intervals.slide)
    return tables.transform(lines_of_batch).reduceByKeyAndWindow(add, None, window, slide).map(with_instant)


def lines_of_batch(time: datetime, tables: RDD[Any]) -> RDD[tuple[int, int]]:
    """Count the lines of a batch under its time, also in a batch without lines."""
    batch_ms = epoch_ms(time)
    none_yet = tables.context.parallelize([(batch_ms, 0)], 1)
    return tables.map(lambda table: (batch_ms, len(table))).union(none_yet)


def with_instant(count: tuple[int, int]) -> tuple[datetime, int]:
    """Return the count with the batch time as an instant."""
    return datetime.fromtimestamp(count[0] / 1000, UTC), count[1]


JOB = DStreamJob(
    name="intervals",
    options=IntervalsOptions,
    kind="window",
    decoder=lambda _settings, _options: TextLines(),
    rows=covered_batches,
    columns={"batch": INSTANT, "lines": pa.int64()},
    key=("batch",),
    source="flume",
    every_window=True,
    in_order=True,
)
