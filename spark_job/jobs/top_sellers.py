"""The job ``top-sellers``: adds up units sold per item over the past hour, in both APIs.

Events are JSON objects: ``{"time": "2026-05-17T10:05:03Z", "item": "teapot", "units": 2}``. The classic API
takes the past hour by arrival, not by the times in the events; a shop's screen shows that, and it is the default.
Structured Streaming takes the hour by event time, which is right for purchases that arrive late or come from a file; it
has a window for each hour, ``--slide`` apart. Each micro-batch adds its purchases to their windows in the results
table, however old they are.

Bounded run: with ``--api dstream`` the newest window, which holds every purchase unless the run took longer than the
window; with ``--api structured`` every window.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import Field
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from headrace.common.durations import spark_interval
from spark_job.jobs.both_apis import EitherApi
from spark_job.jobs.pairs import minus, plus
from spark_job.options.model import Flag, Length, choice_of
from spark_job.runner.dstreams.decoder import JsonFields, rows_of
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.dstreams.options import SlidingOptions
from spark_job.runner.structured.job import StructuredJob
from spark_job.windows import Windows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.streaming.dstream import DStream

FIELDS = {"time": "timestamp", "item": "string", "units": "long"}
WINDOWS_IN_HOUR = 60


class SellersOptions(SlidingOptions):
    """Options of the job: the API and its windows."""

    removed: ClassVar = {
        "watermark": "top sellers have no watermark any more, every purchase counts however late it comes; leave the "
        "option out"
    }

    api: Annotated[str, choice_of("dstream", "structured")] = Field("dstream", description="dstream or structured.")
    window: Length = Field(timedelta(hours=1), description="Length of the window.")
    slide: Annotated[Length | None, Flag(shown_default="the batch interval; structured: window / 60")] = Field(
        None, description="Time between two results."
    )

    @property
    def windows(self) -> Windows:
        """Windows of event time."""
        return Windows(self.window, self.slide or self.window / WINDOWS_IN_HOUR)


def sellers_of_dstream(tables: DStream[Any], options: SellersOptions) -> DStream[tuple[str, int, int]]:
    """Add up the window by item. Units may be negative, so the count of purchases says if an item is in the window."""
    window, slide = seconds(options.intervals.window), seconds(options.intervals.slide)
    return (
        tables.flatMap(rows_of)
        .map(lambda purchase: (purchase.item, (purchase.units, 1)))
        .reduceByKeyAndWindow(plus, minus, window, slide, filterFunc=lambda sales: sales[1][1] > 0)
        .map(lambda sales: (sales[0], *sales[1]))
    )


def sellers_of_events(purchases: DataFrame, options: SellersOptions) -> DataFrame:
    """Add up each window by item."""
    windows = options.windows
    length, slide = spark_interval(windows.length), spark_interval(windows.slide)
    return (
        purchases.groupBy(F.window("time", length, slide), "item")
        .agg(F.sum("units").alias("units"), F.count("*").alias("purchases"))
        .selectExpr("window.start AS window_start", "window.end AS window_end", "item", "units", "purchases")
    )


JOB = EitherApi(
    dstream=DStreamJob(
        name="top-sellers",
        options=SellersOptions,
        kind="window",
        decoder=lambda _settings, _options: JsonFields(tuple(FIELDS.items())),
        rows=sellers_of_dstream,
        columns={"item": pa.string(), "units": pa.int64(), "purchases": pa.int64()},
        key=("item",),
        source="json_events",
    ),
    structured=StructuredJob(
        name="top-sellers",
        options=SellersOptions,
        rows=sellers_of_events,
        key=("window_end", "item"),
        counted="purchases",
        lateness=lambda options: options.windows,
        sums=("units", "purchases"),
        source="json_events",
        fields=FIELDS,
    ),
    dstream_only={"keep": "the table of the other has each window once"},
)
