"""The two kinds of reader that Spark asks a source for, over any conversion of the events.

A reader is pickled in one process and read from in another; state made while planning is never seen by ``read``. So a
reader holds options and a conversion only, and makes its planner when it is first asked to plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pyspark.sql.datasource import DataSourceReader, DataSourceStreamReader
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxBytes,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)

from spark_job.errors import OptionError
from spark_job.source.bridges import Bridges
from spark_job.source.partitions import plan_batch
from spark_job.source.planner import StreamPlanner
from spark_job.source.range_reader import PartitionReader, RangePartition
from spark_job.source.worker_tuning import THIS_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from pyspark.sql.datasource import InputPartition
    from pyspark.sql.types import StructType

    from spark_job.ranges import Part
    from spark_job.source.options import FlumeOptions


class Conversion(ABC):
    """What becomes of the events that a task reads. It travels to the executors, so it must pickle."""

    @abstractmethod
    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows for Spark, in exactly the source's schema."""

    def prepare(self, parts: Sequence[Part]) -> None:  # noqa: B027 -- most have nothing to prepare
        """Do on the driver what must be done before the tasks of a planned batch start; may be called again."""


class EventBatchReader(DataSourceReader):
    """Reads a range once."""

    def __init__(self, options: FlumeOptions, conversion: Conversion) -> None:
        self._options = options
        self._conversion = conversion
        self._ranges = PartitionReader(options)

    def partitions(self) -> Sequence[InputPartition]:
        """Resolve the ends of the range and cut it into parts."""
        bridges = Bridges(self._options)
        try:
            planned = plan_batch(self._options, bridges)
        finally:
            bridges.close()
        self._conversion.prepare([each.part for each in planned])
        return cast("list[InputPartition]", planned)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read one part; Spark passes a partition without content when there is none."""
        if not isinstance(partition, RangePartition):
            return iter(())
        return _read(self._conversion, partition, self._ranges)


class EventStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads a stream, batch by batch; :class:`~spark_job.source.planner.StreamPlanner` has the reasons."""

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
        """Return the limit of the options. Where there are two, the planner applies the one in bytes as well."""
        if self._options.max_events_per_trigger is not None:
            return ReadMaxRows(self._options.max_events_per_trigger)
        if self._options.max_bytes_per_trigger is not None:
            return ReadMaxBytes(self._options.max_bytes_per_trigger)
        return ReadAllAvailable()

    def prepareForTriggerAvailableNow(self) -> None:
        """Take what is stored now as the end of the query."""
        self._planner.aim_at_present()

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:
        """Return where the next batch ends."""
        return dict(self._planner.latest_offset(start, limit))

    def reportLatestOffset(self) -> dict[str, Any] | None:
        """Return how far the logs went when last seen: the progress then shows what is behind."""
        return cast("dict[str, Any] | None", self._planner.report_latest_offset())

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """Return the parts of a planned batch."""
        planned = self._planner.partitions(start, end)
        self._conversion.prepare([each.part for each in planned])
        return cast("list[InputPartition]", planned)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read one part on an executor."""
        if not isinstance(partition, RangePartition):
            raise TypeError(f"{type(partition).__name__} is not a partition of this source")
        return _read(self._conversion, partition, self._ranges)

    def commit(self, end: dict[str, Any]) -> None:
        """Tell the bridges what is done."""
        self._planner.commit(end)

    def stop(self) -> None:
        """Close the connections, should Spark ever call this."""
        if "_planner" in self.__dict__:
            self._planner.close()


def _read(conversion: Conversion, partition: RangePartition, ranges: PartitionReader) -> Iterator[pa.RecordBatch]:
    """Read and convert one part in the process of a task."""
    yield from conversion.convert(partition.part, ranges.read(partition))
    THIS_PROCESS.after_task()


def require_schema(given: StructType, wanted: StructType) -> None:
    """Refuse a schema that the user set and that is not the source's own.

    Raises:
        OptionError: they differ.
    """
    if [(f.name, f.dataType) for f in given.fields] != [(f.name, f.dataType) for f in wanted.fields]:
        raise OptionError(f"the schema of this source is fixed: {wanted.simpleString()}; leave .schema(...) out")
