"""The Spark source ``flume``: the events that the bridges keep, one row each, and one for each line of a block.

=========  ===================  ========================================================================================
column     type                 meaning
=========  ===================  ========================================================================================
bridge     string               id of the log that holds the event
offset     bigint               offset of the event in that log
received   timestamp            when the bridge received it
headers    map<string,string>   Flume's headers; empty with option includeHeaders=false
body       binary               the event itself, or a line of a block without its line feed (a carriage return stays)
=========  ===================  ========================================================================================

Each line of a block has the headers and the time of its block. If a line was too long to be shipped whole, ``body`` is
its beginning.

The options are declared in :mod:`spark_job.source.option_table`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, MapType, StringType, StructField, StructType

from spark_job.source.access_log import AccessLogDataSource
from spark_job.source.audited_rows import AuditedRows
from spark_job.source.data_source import BridgeDataSource, Configured
from spark_job.source.json_events import JsonEventsDataSource
from spark_job.source.options import parse_flume_audit, parse_flume_options
from spark_job.source.range_reader import as_lines
from spark_job.source.readers import POSITION_FIELDS, Conversion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyspark.sql import SparkSession

    from spark_job.ranges import Part

EVENT_SCHEMA = StructType(
    [
        *POSITION_FIELDS,
        StructField("headers", MapType(StringType(), StringType())),
        StructField("body", BinaryType()),
    ]
)


class EventRows(Conversion):
    """Makes a row of each event or line; bodies and headers of events are passed on without a copy."""

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows in :data:`EVENT_SCHEMA`."""
        schema = to_arrow_schema(EVENT_SCHEMA, timezone="UTC")
        for batch in as_lines(batches):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns["bridge"] = pa.repeat(part.log_id, batch.num_rows)
            if "headers" not in columns:
                columns["headers"] = pa.repeat(pa.scalar([], schema.field("headers").type), batch.num_rows)
            yield pa.record_batch([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


class FlumeDataSource(BridgeDataSource):
    """``format("flume")`` for batch and stream."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "flume"

    def configured(self) -> Configured:
        """Read and check the options."""
        options, audit = parse_flume_options(self.options), parse_flume_audit(self.options)
        conversion = EventRows() if audit is None else AuditedRows(EventRows(), audit, time="received")
        return Configured(options, EVENT_SCHEMA, conversion)


def register(spark: SparkSession) -> None:
    """Register ``format("flume")``, ``format("access_log")`` and ``format("json_events")`` with a session."""
    for source in (FlumeDataSource, AccessLogDataSource, JsonEventsDataSource):
        spark.dataSource.register(source)
