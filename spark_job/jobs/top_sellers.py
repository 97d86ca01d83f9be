"""The job ``top-sellers``: units by item over the past hour, sliding with every batch, in both APIs.

Events are JSON objects: ``{"time": "2026-05-17T10:05:03Z", "item": "teapot", "units": 2}``. In the classic API the
past hour is that of the batches, whatever times the events carry; that is what a shop's screen shows, and the default.
In Structured Streaming it is the hour of the events: right for purchases that arrive late, or from a file, and every
hour that one could ask for is there, ``--slide`` apart.

Bounded run: with ``--api dstream`` the newest window, which holds every purchase unless the run took longer than it;
with ``--api structured`` every window.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from pydantic import Field
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from headrace.common.durations import spark_interval
from spark_job.jobs.both_apis import EitherApi
from spark_job.jobs.pairs import minus, plus
from spark_job.options.model import Duration, Flag, Length, choice_of
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
    """Which API, and its windows."""

    api: Annotated[str, choice_of("dstream", "structured")] = Field("dstream", description="dstream or structured.")
    window: Length = Field(timedelta(hours=1), description="Length of the window.")
    slide: Annotated[Length | None, Flag(shown_default="the batch interval; structured: window / 60")] = Field(
        None, description="Time between two results."
    )
    watermark: Duration = Field(
        timedelta(minutes=10), description="With --api structured: how far behind the newest purchase others may be."
    )

    @property
    def windows(self) -> Windows:
        """Windows of event time."""
        return Windows(self.window, self.slide or self.window / WINDOWS_IN_HOUR, self.watermark)


def sellers_of_dstream(tables: DStream[Any], options: SellersOptions) -> DStream[tuple[str, int, int]]:
    """Add up the window by item. Units may be given back, so purchases tell whether an item is in the window at all."""
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
        purchases.withWatermark("time", spark_interval(windows.watermark))
        .groupBy(F.window("time", length, slide), "item")
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
        source="json_events",
        fields=FIELDS,
    ),
    dstream_only={"keep": "the table of the other has each window once"},
)
