"""The Spark source ``json_events``: events that are JSON objects, with their fields as typed columns.

The columns are ``bridge``, ``offset`` and ``received`` as in the source ``flume``, then the fields of option ``fields``
(``device string, time timestamp, value double``), then ``raw`` and ``error``, which are null unless the event is
malformed. :mod:`spark_job.parse.json_objects` says what is malformed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from spark_job.source.audited_rows import AuditedRows
from spark_job.source.json_options import JsonEventsOptions, parse_json_events_options
from spark_job.source.options import check_for_batch, check_for_stream
from spark_job.source.range_reader import as_tables
from spark_job.source.readers import (
    POSITION_FIELDS,
    Conversion,
    EventBatchReader,
    EventStreamReader,
    require_schema,
    rows_of,
)
from spark_job.source.worker_tuning import limit_polars_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa
    from pyspark.sql.datasource import DataSourceReader, DataSourceStreamReader

    from spark_job.ranges import Part

KINDS: dict[str, DataType] = {
    "string": StringType(),
    "long": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "timestamp": TimestampType(),
}


def json_schema(fields: Mapping[str, str]) -> StructType:
    """Return the columns of events with these fields."""
    columns = [*fields.items(), ("raw", "string"), ("error", "string")]
    return StructType([*POSITION_FIELDS, *(StructField(name, KINDS[kind]) for name, kind in columns)])


class JsonObjects(Conversion):
    """Makes a row of each event."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = dict(fields)

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows in :func:`json_schema`."""
        limit_polars_threads()
        import polars as pl

        from spark_job.parse.json_objects import parse_objects

        schema = to_arrow_schema(json_schema(self._fields), timezone="UTC")
        for table in as_tables(batches):
            parsed = parse_objects(table.column("body").to_pylist(), self._fields)
            found = parsed.to_arrow(compat_level=pl.CompatLevel.oldest())
            yield from rows_of(part, schema, table, found)


class JsonEventsDataSource(DataSource):
    """``format("json_events")`` for batch and stream."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "json_events"

    def schema(self) -> StructType:
        """Return the columns. Spark asks for the schema first, so this is where the options are checked first."""
        return json_schema(parse_json_events_options(self.options).fields)

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return the reader of a batch."""
        options = parse_json_events_options(self.options)
        check_for_batch(options.flume)
        require_schema(schema, json_schema(options.fields))
        return EventBatchReader(options.flume, _conversion(options))

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        """Return the reader of a stream."""
        options = parse_json_events_options(self.options)
        check_for_stream(options.flume)
        require_schema(schema, json_schema(options.fields))
        return EventStreamReader(options.flume, _conversion(options))


def _conversion(options: JsonEventsOptions) -> Conversion:
    rows = JsonObjects(options.fields)
    return rows if options.audit is None else AuditedRows(rows, options.audit, options.time)
