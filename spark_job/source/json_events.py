"""The Spark source ``json_events``: events that are JSON objects, with their fields as typed columns.

The columns are ``bridge``, ``offset`` and ``received`` as in the source ``flume``, then the fields of option ``fields``
(``device string, time timestamp, value double``), then ``raw`` and ``error``, which are null unless the event is
malformed. :mod:`spark_job.parse.json_objects` says what is malformed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from spark_job.source.data_source import BridgeDataSource, Configured
from spark_job.source.json_options import parse_json_events_options
from spark_job.source.range_reader import as_lines, as_tables
from spark_job.source.readers import POSITION_FIELDS, Conversion, rows_of
from spark_job.source.worker_tuning import limit_polars_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

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
    """Makes a row of each event or line."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = dict(fields)

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows in :func:`json_schema`."""
        limit_polars_threads()
        import polars as pl

        from spark_job.parse import cut_length_of
        from spark_job.parse.json_objects import parse_objects

        schema = to_arrow_schema(json_schema(self._fields), timezone="UTC")
        for table in as_tables(as_lines(batches)):
            parsed = parse_objects(table.column("body").to_pylist(), self._fields, cut_length_of(table))
            found = parsed.to_arrow(compat_level=pl.CompatLevel.oldest())
            yield from rows_of(part, schema, table, found)


class JsonEventsDataSource(BridgeDataSource):
    """``format("json_events")`` for batch and stream."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "json_events"

    def configured(self) -> Configured:
        """Read and check the options."""
        options = parse_json_events_options(self.options)
        rows = JsonObjects(options.fields)
        conversion = rows if options.audit is None else AuditedRows(rows, options.audit, options.time)
        return Configured(options.flume, json_schema(options.fields), conversion)
