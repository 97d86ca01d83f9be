"""The two readers that Spark asks a source for, batch and stream, for any conversion of events into rows.

Spark pickles a reader in one process and calls ``read`` in another, which never sees the state that planning made. So a
reader holds options and a conversion only, and makes its planner when it is first asked to plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, DataSourceStreamReader
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxBytes,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)
from pyspark.sql.types import LongType, StringType, StructField, TimestampType

from spark_job.source.bridges import Bridges
from spark_job.source.partitions import plan_batch
from spark_job.source.planner import StreamPlanner
from spark_job.source.range_reader import PartitionReader, RangePartition
from spark_job.source.worker_tuning import THIS_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyspark.sql.datasource import InputPartition

    from spark_job.ranges import Part
    from spark_job.source.options import FlumeOptions


POSITION_FIELDS: Final = (
    StructField("bridge", StringType()),
    StructField("offset", LongType()),
    StructField("received", TimestampType()),
)
"""The first columns of every source whose rows are lines or events: the log, the offset in it, the time of arrival."""


class Conversion(ABC):
    """Turns the events that a task reads into rows. Spark sends it to the executors, so it must pickle."""

    @abstractmethod
    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows for Spark, in exactly the source's schema."""

    def prepare(self, parts: Sequence[Part]) -> None:  # noqa: B027 -- most conversions prepare nothing
        """Prepare for the tasks of a planned micro-batch; runs on the driver before they start, perhaps repeatedly."""


class EventBatchReader(DataSourceReader):
    """Reads a range once, for ``spark.read``."""

    def __init__(self, options: FlumeOptions, conversion: Conversion) -> None:
        self._options = options
        self._conversion = conversion
        self._ranges = PartitionReader(options)

    def partitions(self) -> Sequence[InputPartition]:
        """Resolve the start and end of the range, and cut it into parts."""
        bridges = Bridges(self._options)
        try:
            planned = plan_batch(self._options, bridges)
        finally:
            bridges.close()
        self._conversion.prepare([each.part for each in planned])
        return cast("list[InputPartition]", planned)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read one part on an executor; if the range is empty, Spark passes a partition of another class."""
        if not isinstance(partition, RangePartition):
            return iter(())
        return _read(self._conversion, partition, self._ranges)


class EventStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads a stream for ``spark.readStream``; the traps are in :mod:`spark_job.source.planner`."""

    def __init__(self, options: FlumeOptions, conversion: Conversion) -> None:
        self._options = options
        self._conversion = conversion
        self._ranges = PartitionReader(options)

    @cached_property
    def _planner(self) -> StreamPlanner:
        return StreamPlanner(self._options)

    def initialOffset(self) -> dict[str, Any]:
        """Return where a query without a checkpoint starts."""
        return dict(self._planner.initial_offset())

    def getDefaultReadLimit(self) -> ReadLimit:
        """Return the limit of the options; if both are set, that in rows (the planner applies the one in bytes too)."""
        if self._options.max_events_per_trigger is not None:
            return ReadMaxRows(self._options.max_events_per_trigger)
        if self._options.max_bytes_per_trigger is not None:
            return ReadMaxBytes(self._options.max_bytes_per_trigger)
        return ReadAllAvailable()

    def prepareForTriggerAvailableNow(self) -> None:
        """Make the present end of each log the end of the query."""
        self._planner.stop_at_present()

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:
        """Return where the next micro-batch ends."""
        return dict(self._planner.latest_offset(start, limit))

    def reportLatestOffset(self) -> dict[str, Any] | None:
        """Return the end of each log when last seen: Spark's progress then shows how far behind the query is."""
        return cast("dict[str, Any] | None", self._planner.report_latest_offset())

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """Return the parts of a planned micro-batch."""
        planned = self._planner.partitions(start, end)
        self._conversion.prepare([each.part for each in planned])
        return cast("list[InputPartition]", planned)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read one part on an executor."""
        if not isinstance(partition, RangePartition):
            raise TypeError(f"{type(partition).__name__} is not a partition of this source")
        return _read(self._conversion, partition, self._ranges)

    def commit(self, end: dict[str, Any]) -> None:
        """Tell the bridges which events are done."""
        self._planner.commit(end)

    def stop(self) -> None:
        """Close the connections, should Spark ever call this."""
        # A copy of the reader that never planned has no planner, and would make one only to close it.
        if "_planner" in self.__dict__:
            self._planner.close()


def _read(conversion: Conversion, partition: RangePartition, ranges: PartitionReader) -> Iterator[pa.RecordBatch]:
    """Read and convert one part in the process of a task."""
    yield from conversion.convert(partition.part, ranges.read(partition))
    THIS_PROCESS.after_task()


def rows_of(part: Part, schema: pa.Schema, events: pa.Table, parsed: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some events, with the columns of ``schema``.

    Args:
        part: what the events are part of: its log is the column ``bridge``.
        schema: the source's columns.
        events: the events, as the bridge sent them.
        parsed: the columns that were made from the events, in the same order.
    """
    columns = dict(zip(parsed.column_names, parsed.columns, strict=True))
    columns |= {name: events.column(name) for name in ("offset", "received")}
    columns["bridge"] = pa.chunked_array([pa.repeat(part.log_id, events.num_rows)])
    rows = pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
    yield from rows.combine_chunks().to_batches()
