"""Stores the results of a job: a table in the job's folder, then console, files and databases.

The table takes each micro-batch in one transaction that also records it (:mod:`.embedded_table`); a database of
``--sink`` gets the same rows under the micro-batch's number in that record. The files are snapshots of the table.
Batches only mark them as changed, and another thread writes them, from connections of their own
(:mod:`spark_job.sinks.snapshot_file`), so a large table does not slow batches down.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_job.runner.job import table_name
from spark_job.runner.results.embedded_table import EmbeddedTable
from spark_job.runner.results.shape import in_shape, numbered, without_number
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.ledger import stored_batch
from spark_job.sinks.database.read import rows_on
from spark_job.sinks.database.write import TableWriter
from spark_job.sinks.rows import RowsConsole, RowsFile
from spark_job.sinks.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.accounting.tally import Tally
    from spark_job.runner.results.shape import ResultShape, TimedBatches
    from spark_job.sinks.database import DatabaseUrl
    from spark_job.sinks.database.write import OldRows
    from spark_job.sinks.rows import Row
    from spark_job.sinks.sink_spec import SinkSpec

ROWS_AT_ONCE = 20_000


class RowResults:
    """The table and what is written from it; a context manager.

    One thread at a time may use it, but for ``write_if_due``, which another thread may call at any time.

    Args:
        folder: the folder of the embedded table, ``counts.db``.
        job: the job's name, which is also the table's.
        schema: of the result.
        shape: how rows are stored.
        sinks: console and files.
        databases: further tables that are kept equal to the embedded one.
        adopt: whether to take these tables from other jobs that own them.
        top: how many rows of a micro-batch the console shows.
        counted: the column whose sum is the number of lines counted; empty if no column has it.
        sums: the columns that each micro-batch adds to; empty: its rows are absolute values.
        windows_per_line: in how many rows a line is counted.
        timed: how results are kept and shown whose batches are numbered by their time; None for others.
        clock: monotonic seconds.

    Attributes:
        table: the embedded table.
        shape: how rows are stored.
        sums: the columns that each micro-batch adds to.
        count_is_old: whether a micro-batch was stored since its lines were last counted.

    Raises:
        OptionError: a table in a database does not fit.
        SinkError: a table cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        job: str,
        schema: pa.Schema,
        shape: ResultShape,
        sinks: Iterable[SinkSpec],
        *,
        databases: Sequence[DatabaseUrl] = (),
        adopt: bool = False,
        top: int,
        counted: str,
        sums: Sequence[str] = (),
        windows_per_line: int = 1,
        timed: TimedBatches | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sinks = tuple(sinks)
        name, path, key = table_name(job), folder / "counts.db", shape.key
        schema = numbered(schema.empty_table(), 0).schema if shape.numbered else schema
        self.shape = shape
        self.sums = tuple(sums)
        self._replace = shape.output_mode == "complete"
        self._timed = timed
        self._order = timed.order if timed else [(column, "ascending") for column in key]
        self._has_count = bool(counted)
        with ExitStack() as opened:
            self.table = opened.enter_context(
                EmbeddedTable(path, name, schema, key, sums=sums, counted=counted, windows_per_line=windows_per_line)
            )
            self._reader = opened.enter_context(
                Database(parse_database_url(f"sqlite:///{path}"), keep_connection=False)
            )
            self._databases = [opened.enter_context(Database(target)) for target in databases]
            self._writers = [
                TableWriter(database, name, schema, key, create=True, adopt=adopt) for database in self._databases
            ]
            self._opened = opened.pop_all()
        self._files = [RowsFile(sink.path, self.rows, clock) for sink in sinks if sink.kind == "jsonl" and sink.path]
        self._top = top
        numbers = timed.numbers if timed else ()
        self._console = RowsConsole(top, numbers=numbers) if any(sink.kind == "console" for sink in sinks) else None
        self._counted = 0
        self.count_is_old = self._has_count
        self._counting = Throttle(clock)

    @property
    def later(self) -> Sequence[Callable[[], None]]:
        """The function that writes the files that micro-batches put off."""
        return [self.write_if_due]

    def tally(self, *, now: bool = False) -> Tally:
        """Return the terms of the sum; lines that an old count of the table lacks are open until the next count."""
        if self.sums or self._timed:
            return self.table.tally()
        hits = self.counted(now=now)
        return self.table.tally_with(hits, final=self.shape.output_mode == "append" or self.count_is_old)

    def record(self, entry: LedgerEntry, rows: pa.Table, *, lines: int = 0) -> Callable[[Tally], None]:
        """Store a micro-batch in the table.

        Args:
            entry: the micro-batch's ledger entry.
            rows: its result.
            lines: how many lines the rows count, if no column says so.

        Returns:
            The function that copies the rows that changed into the databases, and shows them with the sum. Batches that
            are numbered by their time are shown by :meth:`show`.

        Raises:
            SinkError: it cannot be stored.
            AccountingError: it does not begin where the table stands, or differs from its first run.
        """
        self.count_is_old = self._has_count and not self.sums
        if not self.sums and not self._timed:
            # A complete result replaces all rows, so it numbers them from 0 each time. Spark's numbers of micro-batches
            # begin again with each query, those of the table do not.
            rows = in_shape(rows, self.shape, 0 if self._replace else self.table.next_sequence())
        final = self._has_count and self.shape.output_mode == "append"
        old = self._timed.old_rows(entry.batch_id) if self._timed else None
        changed = self.table.record(entry, rows, replace=self._replace, final=final, lines=lines, old=old)

        def show(tally: Tally) -> None:
            self._copy(changed, old)
            if self._timed is None and (changed.num_rows or entry.read):
                self.show(changed, tally)

        return show

    def _copy(self, changed: pa.Table, old: OldRows | None) -> None:
        """Write the rows that the newest micro-batch changed into the databases, and delete old ones there."""
        if self._writers:
            table_id, newest = self.table.table_id(), self.table.next_sequence() - 1
            for writer in self._writers:
                writer.write(changed, query_id=table_id, batch_id=newest, replace=self._replace, old=old)

    def empty(self) -> None:
        """Delete all rows here and in the databases: all results are about to be computed again.

        Raises:
            SinkError: a table cannot be written.
            OptionError: a table in a database belongs to another writer.
        """
        self.count_is_old = self._has_count
        # The databases first: as long as the table has its rows, the next start empties them again after a kill here.
        for writer in self._writers:
            none = self.table.schema.empty_table()
            writer.write(none, query_id=self.table.table_id(), batch_id=None, replace=True)
        self.table.empty()

    def replace_all(self, rows: pa.Table) -> None:
        """Store the whole result of a run that belongs to no query, in place of all rows.

        Raises:
            SinkError: it cannot be stored.
            OptionError: a table in a database belongs to a query.
        """
        self.count_is_old = self._has_count
        self.table.replace_all(rows)
        for writer in self._writers:
            writer.write(rows, query_id=None, replace=True)

    def catch_up(self) -> None:
        """Write the whole table into each database that lacks a micro-batch because it was added later or was away.

        Raises:
            SinkError: a database cannot be written.
            OptionError: a table there belongs to another writer.
        """
        table_id, newest = self.table.table_id(), self.table.next_sequence() - 1
        for database, writer in zip(self._databases, self._writers, strict=True):
            # The first micro-batch would be refused as well, but maybe only in hours.
            writer.check_owner(table_id)
            if stored_batch(database, table_id, self.table.name) >= newest:
                continue
            none = self.table.schema.empty_table()
            if self._replace:
                # Rows there that the table does not have.
                writer.write(none, query_id=table_id, batch_id=None, replace=True)
            rows = self.table.rows()
            while part := list(islice(rows, ROWS_AT_ONCE)):
                writer.write(pa.Table.from_pylist(part, schema=self.table.schema), query_id=table_id, batch_id=None)
            # The number goes in last, so that a copy which a kill interrupted starts again from the first row.
            writer.write(none, query_id=table_id, batch_id=newest)

    def show(self, rows: pa.Table, tally: Tally | None = None, *, title: str = "") -> None:
        """Print a stored micro-batch, and mark the files as changed.

        Args:
            rows: what the console shows of it.
            tally: printed below the rows.
            title: printed above the rows; then an empty result is printed only after one with rows.

        Raises:
            SinkError: a sink cannot be written.
        """
        if self._console is not None:
            ordered = rows.sort_by(list(self._order))
            shown = [without_number(row) for row in ordered.slice(0, self._top).to_pylist()]
            self._console.show(shown, rows.num_rows, "" if tally is None else str(tally), title=title)
        for file in self._files:
            file.mark_changed()

    def write_if_due(self) -> None:
        """Write the files that were put off, if their pause is over.

        Raises:
            SinkError: one cannot be written.
        """
        for file in self._files:
            file.write_if_due()

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the table that a file holds, ordered by key, from one consistent state."""
        with self._reader.reading() as connection:
            newest_id = self.table.newest_batch_id_on(connection)
            for row in rows_on(connection, self._reader, self.table.name):
                if self._timed is None or self._timed.is_in_files(row, newest_id):
                    yield without_number(row)

    def counted(self, *, now: bool) -> int | None:
        """Return how many lines the table's rows count; None if no column has that number.

        Counting reads the whole table, so the number may be some seconds old unless ``now`` is set. ``count_is_old``
        says whether a micro-batch was stored since.

        Raises:
            SinkError: the table cannot be read.
        """
        if not self._has_count:
            return None
        if now or self._counting.is_due():
            with self._counting.working():
                self._counted = self.table.count_hits()
            self.count_is_old = False
        return self._counted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Files first: they are written from the table, which closes after them.
        with self._opened, ExitStack() as files:
            for file in self._files:
                files.enter_context(closing(file))
