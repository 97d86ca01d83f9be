"""The Spark source ``access_log``: access-log lines, parsed by the task that reads them and, with ``rollup``, counted.

Without ``rollup`` each line is a row: ``bridge``, ``offset`` and ``received`` as in the source ``flume``, then the
columns of :mod:`spark_job.parse.schema`. With ``rollup``, the length of a pane, each row is a sum::

    time timestamp   largest event time of the lines
    url string       key that the URL rule makes
    hits bigint      number of lines
    bytes bigint     sum of their sizes
    errors bigint    number of lines with status 400 or higher

Spark can add these rows up to windows whose boundaries cut no pane. The watermark and the late rows are the same as
with the lines themselves: the watermark follows the largest time, which a sum keeps, and the end of a window, not the
time of a row, decides whether a row is late.

With ``time=arrival`` the time at which the bridge received a line replaces the time in the line.

With ``rollup`` and ``audit`` the job can close old windows: lines before the instant in the audit folder's file
``open-from`` (:mod:`spark_job.accounting.open_panes`) are in no sum; the audit counts them as too old.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from spark_job.accounting.audit_file import AuditWriter, remove_leftovers
from spark_job.accounting.open_panes import read_open_from
from spark_job.blocks import lines_in
from spark_job.errors import OptionError
from spark_job.source.audited_rows import AuditedRows
from spark_job.source.data_source import BridgeDataSource, Configured
from spark_job.source.options import AccessLogOptions, parse_access_log_options
from spark_job.source.range_reader import as_lines, as_tables
from spark_job.source.readers import POSITION_FIELDS, Conversion, rows_of
from spark_job.source.worker_tuning import limit_polars_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import polars as pl
    import pyarrow as pa

    from spark_job.parse import Counts, LineCounter, LineParser
    from spark_job.ranges import Part

ROLL_UP_SCHEMA = StructType(
    [
        StructField("time", TimestampType()),
        StructField("url", StringType()),
        StructField("hits", LongType()),
        StructField("bytes", LongType()),
        StructField("errors", LongType()),
    ]
)


@lru_cache(maxsize=8)
def line_parser(log_format: str, url: str, timezone: str) -> LineParser:
    """Return the parser for these options; each process makes it once. Polars is imported here, not before.

    Raises:
        OptionError: an option cannot be used.
    """
    limit_polars_threads()
    from spark_job.parse import LineParser

    return LineParser(log_format, url, timezone)


def line_schema() -> StructType:
    """Return the columns of parsed lines: where each line is, then the parser's columns."""
    import polars as pl

    from spark_job.parse import SCHEMA

    kinds: dict[type[pl.DataType], DataType] = {
        pl.String: StringType(),
        pl.Int32: IntegerType(),
        pl.Int64: LongType(),
        pl.Float64: DoubleType(),
        pl.Datetime: TimestampType(),
    }
    return StructType([*POSITION_FIELDS, *(StructField(name, kinds[type(kind)]) for name, kind in SCHEMA.items())])


class Lines(Conversion):
    """Makes a row of each line."""

    def __init__(self, options: AccessLogOptions) -> None:
        self._options = options

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows in :func:`line_schema`."""
        schema = to_arrow_schema(line_schema(), timezone="UTC")
        for table in as_tables(as_lines(batches)):
            yield from rows_of(part, schema, table, _to_arrow(_parse(self._options, table)))


class RollUp(Conversion):
    """Makes sums per pane and URL, and writes the audit of the lines behind them."""

    def __init__(self, options: AccessLogOptions, rollup_us: int) -> None:
        self._options = options
        self._pane = timedelta(microseconds=rollup_us)

    def prepare(self, parts: Sequence[Part]) -> None:
        """Clear the micro-batch's audit folders of files that an earlier attempt with another plan left."""
        if self._options.audit is not None:
            remove_leftovers(self._options.audit.folder, parts)

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows in :data:`ROLL_UP_SCHEMA`; the audit is on disk before the last of them.

        A part with very many sums yields some of them early, which bounds memory; Spark adds up the rest.
        """
        if self._options.audit is None:
            for rows in self._rows(batches, None, None):
                yield from _roll_up_batches(rows)
            return
        # Once for the whole part: its lines must not be judged by two instants.
        open_from_us = read_open_from(self._options.audit.folder)
        with AuditWriter(self._options.audit.folder, part, self._options.audit.pane_us) as audit:
            for rows in self._rows(batches, audit, open_from_us):
                yield from _roll_up_batches(rows)

    def _rows(
        self, batches: Iterable[pa.RecordBatch], audit: AuditWriter | None, open_from_us: int | None
    ) -> Iterator[pl.DataFrame]:
        counter: LineCounter | None = None
        events = 0
        for table in as_tables(batches):
            # Not before: this imports Polars, and many parts are empty.
            counter = counter or self._counter(open_from_us)
            counter.add(table)
            events += sum(map(lines_in, table.to_batches()))
            if counter.is_full:
                yield self._add_to_audit(counter.take(), events, audit)
                events = 0
        last = self._add_to_audit(counter.take(), events, audit) if counter is not None else None
        # Spark takes the task for done with its last row, so the audit must be complete before that.
        if audit is not None:
            audit.finish()
        if last is not None:
            yield last

    def _counter(self, open_from_us: int | None) -> LineCounter:
        options = self._options
        parser = line_parser(options.log_format, options.url, options.timezone)
        from spark_job.parse import LineCounter

        return LineCounter(parser, self._pane, by_arrival=options.arrival_time, open_from_us=open_from_us)

    def _add_to_audit(self, counts: Counts, events: int, audit: AuditWriter | None) -> pl.DataFrame:
        """Return the sums of so many events, after adding the events to the audit."""
        from spark_job.parse import panes

        if audit is not None:
            audit.record.add(events, panes(counts.sums, self._pane), counts.too_old)
            if len(counts.dead_letters):
                audit.add_dead_letters(counts.dead_letters)
        return counts.sums


class AccessLogDataSource(BridgeDataSource):
    """``format("access_log")`` for batch and stream."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "access_log"

    def configured(self) -> Configured:
        """Read and check the options."""
        options = parse_access_log_options(self.options)
        parser = line_parser(options.log_format, options.url, options.timezone)
        if not options.arrival_time and not parser.has_time:
            raise OptionError(f"option logFormat={options.log_format!r} has no time in it; set option time=arrival")
        if options.rollup_us is not None:
            return Configured(options.flume, ROLL_UP_SCHEMA, RollUp(options, options.rollup_us))
        lines = Lines(options)
        conversion = lines if options.audit is None else AuditedRows(lines, options.audit)
        return Configured(options.flume, line_schema(), conversion)


def _parse(options: AccessLogOptions, table: pa.Table) -> pl.DataFrame:
    """Parse the bodies of a table; with ``time=arrival``, the arrival replaces the time in the line."""
    parser = line_parser(options.log_format, options.url, options.timezone)
    import polars as pl

    from spark_job.parse import cut_length_of

    lines = parser.parse(pl.Series("body", table.column("body")), cut_length=cut_length_of(table))
    if not options.arrival_time:
        return lines
    received = pl.Series("received", table.column("received"))
    return lines.with_columns(time=pl.when(pl.col("error").is_null()).then(received))


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    import polars as pl

    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _roll_up_batches(rows: pl.DataFrame) -> Iterator[pa.RecordBatch]:
    schema = to_arrow_schema(ROLL_UP_SCHEMA, timezone="UTC")
    yield from _to_arrow(rows.select(schema.names)).cast(schema).combine_chunks().to_batches()
