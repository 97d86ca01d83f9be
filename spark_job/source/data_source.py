"""The data source that Spark sees: options in, a schema and two readers out; the same for every source over bridges."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource

from spark_job.errors import OptionError
from spark_job.source.options import check_for_batch, check_for_stream
from spark_job.source.readers import Conversion, EventBatchReader, EventStreamReader

if TYPE_CHECKING:
    from pyspark.sql.datasource import DataSourceReader, DataSourceStreamReader
    from pyspark.sql.types import StructType

    from spark_job.source.options import FlumeOptions


@dataclass(frozen=True)
class Configured:
    """What the options of a source ask for.

    Attributes:
        flume: where the events are, and which of them to read.
        schema: the columns.
        conversion: makes rows with these columns from the events.
    """

    flume: FlumeOptions
    schema: StructType
    conversion: Conversion


class BridgeDataSource(DataSource):
    """A source over the bridges, for batch and stream. Subclasses have a ``name`` and read their options."""

    @abstractmethod
    def configured(self) -> Configured:
        """Read and check the options.

        Raises:
            OptionError: one is unknown, missing or cannot be used.
        """

    def schema(self) -> StructType:
        """Return the columns. Spark asks for the schema first, so this is where the options are checked first."""
        return self.configured().schema

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return the reader of a batch."""
        configured = self.configured()
        check_for_batch(configured.flume)
        _require_schema(schema, configured.schema)
        return EventBatchReader(configured.flume, configured.conversion)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """Return the reader of a stream."""
        configured = self.configured()
        check_for_stream(configured.flume)
        _require_schema(schema, configured.schema)
        return EventStreamReader(configured.flume, configured.conversion)


def _require_schema(given: StructType, wanted: StructType) -> None:
    """Refuse a schema of the user that differs from the source's."""
    if [(f.name, f.dataType) for f in given.fields] != [(f.name, f.dataType) for f in wanted.fields]:
        raise OptionError(f"the schema of this source is fixed: {wanted.simpleString()}; leave .schema(...) out")
