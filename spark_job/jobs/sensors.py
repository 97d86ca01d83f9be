"""The job ``sensors``: sums readings of devices per window, and raises an alarm when a device falls silent.

Readings are JSON objects: ``{"device": "a7", "time": "2026-05-01T10:00:00Z", "value": 21.5}``. Two stateful operators
follow one another: the first adds up windows, and once the watermark has closed them their sums go to a state per
device (transformWithState), which holds the device's newest window and a timer. If the timer fires, or a window comes
after a pause, the device was silent: a row without readings says since when, once for each silence.

A batch has no watermark, so its timers never fire. A bounded run treats the newest window of all devices as the
present: a device that is silent up to then gets an alarm.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pyspark.sql import Row
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows
from pyspark.sql.streaming.stateful_processor import StatefulProcessor
from pyspark.sql.types import BooleanType, DoubleType, LongType, StringType, StructField, StructType

from headrace.common.durations import MILLISECOND, spark_interval
from spark_job.options.model import Duration, Length
from spark_job.runner.job_settings import JobOptions
from spark_job.runner.structured.job import ROCKSDB, StructuredJob
from spark_job.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.stateful_processor import ExpiredTimerInfo, StatefulProcessorHandle, TimerValues

NEWEST = StructType([StructField("end_ms", LongType()), StructField("alarmed", BooleanType())])
STATES = StructType(
    [
        StructField("device", StringType()),
        StructField("start_ms", LongType()),
        StructField("end_ms", LongType()),
        StructField("readings", LongType()),
        StructField("minimum", DoubleType()),
        StructField("maximum", DoubleType()),
        StructField("mean", DoubleType()),
        StructField("silent", BooleanType()),
    ]
)


class SensorsOptions(JobOptions):
    """Options of the job."""

    window: Length = Field(timedelta(minutes=1), description="Length of a window, the interval of the devices.")
    silence: int = Field(3, ge=1, description="Windows without a reading that raise the alarm.")
    watermark: Duration = Field(
        timedelta(seconds=30), description="How far behind the newest reading a reading may be and still count."
    )


def sensors(readings: DataFrame, options: SensorsOptions) -> DataFrame:
    """Return one row per device and window with readings, and one per silence."""
    sums = (
        readings.withWatermark("time", spark_interval(options.watermark))
        .groupBy("device", F.window("time", spark_interval(options.window)))
        .agg(
            F.count("*").alias("readings"),
            F.min("value").alias("minimum"),
            F.max("value").alias("maximum"),
            F.avg("value").alias("mean"),
        )
        .withColumns({"start_ms": F.unix_millis("window.start"), "end_ms": F.unix_millis("window.end")})
        .drop("window")
    )
    present_ms = None if sums.isStreaming else sums.agg(F.max("end_ms")).collect()[0][0]
    alarm = SilenceAlarm(options.silence * (options.window // MILLISECOND), present_ms)
    states = sums.groupBy("device").transformWithState(alarm, STATES, "Append", "EventTime")
    return states.select(
        "device",
        F.timestamp_millis("start_ms").alias("window_start"),
        F.timestamp_millis("end_ms").alias("window_end"),
        "readings",
        "minimum",
        "maximum",
        "mean",
        "silent",
    )


class SilenceAlarm(StatefulProcessor):
    """Passes on the sums of a device, and adds a row when none has come for ``limit_ms`` of event time.

    The result does not depend on how Spark cuts the stream into micro-batches: a device's windows come in order, and
    either the timer or the next window finds a silence, whichever comes first.

    Args:
        limit_ms: length of a silence that raises an alarm.
        present_ms: for a batch, the time at its end; None for a stream.
    """

    def __init__(self, limit_ms: int, present_ms: int | None) -> None:
        self._limit_ms = limit_ms
        self._present_ms = present_ms

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Open the state that Spark keeps for each device."""
        self._handle = handle
        self._newest = handle.getValueState("newest", NEWEST)

    def handleInputRows(self, key: Any, rows: Iterator[Row], timerValues: TimerValues) -> Iterator[Row]:  # noqa: ARG002
        """Process the windows of one device that closed in this micro-batch."""
        newest_ms, alarmed = self._newest.get() or (None, False)
        if newest_ms is not None and not alarmed:
            self._handle.deleteTimer(newest_ms + self._limit_ms)
        for row in sorted(rows, key=lambda each: each.start_ms):
            if newest_ms is not None and not alarmed and row.start_ms >= newest_ms + self._limit_ms:
                yield self._silence(key, newest_ms)
            yield Row(
                device=row.device,
                start_ms=row.start_ms,
                end_ms=row.end_ms,
                readings=row.readings,
                minimum=row.minimum,
                maximum=row.maximum,
                mean=row.mean,
                silent=False,
            )
            newest_ms, alarmed = row.end_ms, False
        if self._present_ms is not None:
            if self._present_ms >= newest_ms + self._limit_ms:
                yield self._silence(key, newest_ms)
            return
        self._newest.update((newest_ms, False))
        self._handle.registerTimer(newest_ms + self._limit_ms)

    def handleExpiredTimer(
        self,
        key: Any,
        timerValues: TimerValues,  # noqa: ARG002
        expiredTimerInfo: ExpiredTimerInfo,
    ) -> Iterator[Row]:
        """Raise the alarm of a device."""
        since_ms = expiredTimerInfo.getExpiryTimeInMs() - self._limit_ms
        self._newest.update((since_ms, True))
        yield self._silence(key, since_ms)

    def close(self) -> None:
        """Do nothing: Spark owns the state."""

    def _silence(self, key: Any, since_ms: int) -> Row:
        return Row(
            device=key[0],
            start_ms=since_ms,
            end_ms=since_ms + self._limit_ms,
            readings=0,
            minimum=None,
            maximum=None,
            mean=None,
            silent=True,
        )


JOB = StructuredJob(
    name="sensors",
    options=SensorsOptions,
    rows=sensors,
    key=("device", "window_start"),
    counted="readings",
    lateness=lambda options: Windows(options.window, options.window, options.watermark),
    source="json_events",
    fields={"device": "string", "time": "timestamp", "value": "double"},
    output_mode="append",
    spark=ROCKSDB,
)
