"""Stores the results of a structured job: a table in the job's folder, then console, files and databases.

The table takes each micro-batch in one transaction that also stores its number; a database of ``--sink`` gets the same
rows under the same number. The files are snapshots of the table. Batches only mark them as changed, and another thread
writes them, from connections of their own (:mod:`spark_job.sinks.snapshot_file`), so a large table does not slow
batches down.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from spark_job.runner.job import table_name
from spark_job.runner.structured.job import ROW_NUMBER
from spark_job.sinks.database import Database, parse_database_url, read_rows
from spark_job.sinks.database.columns import flat_schema
from spark_job.sinks.database.ledger import stored_batch
from spark_job.sinks.database.write import TableWriter
from spark_job.sinks.rows import RowsConsole, RowsFile
from spark_job.sinks.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from spark_job.accounting.tally import Tally
    from spark_job.sinks.database import DatabaseUrl
    from spark_job.sinks.rows import Row
    from spark_job.sinks.sink_spec import SinkSpec

ROWS_AT_ONCE = 20_000


def numbered(rows: pa.Table, first: int) -> pa.Table:
    """Return the rows with a column of numbers in front, from ``first`` on."""
    return rows.add_column(0, ROW_NUMBER, pa.array(range(first, first + rows.num_rows), pa.int64()))


def _without_number(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != ROW_NUMBER}


class ResultStore:
    """The table and what is written from it; a context manager.

    One thread at a time may use it, but for ``write_if_due``, which another thread may call at any time.

    Args:
        folder: the folder of the embedded table, ``counts.db``.
        job: the job's name, which is also the table's.
        schema: of the result.
        key: the columns that tell rows apart.
        sinks: console and files.
        databases: further tables that are kept equal to the embedded one.
        top: how many rows of a micro-batch the console shows.
        counted: the column whose sum is the number of lines counted; empty if no column has it.
        clock: monotonic seconds.

    Attributes:
        count_is_old: whether a micro-batch was stored since its lines were last counted.
    """

    def __init__(
        self,
        folder: Path,
        job: str,
        schema: pa.Schema,
        key: Sequence[str],
        sinks: Iterable[SinkSpec],
        *,
        databases: Sequence[DatabaseUrl] = (),
        top: int,
        counted: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sinks = tuple(sinks)
        self._table = table_name(job)
        self._key = key
        self._counted_column = counted
        self._schema = flat_schema(schema)
        with ExitStack() as opened:
            targets = (parse_database_url(f"sqlite:///{folder / 'counts.db'}"), *databases)
            self._embedded, *self._databases = [opened.enter_context(Database(target)) for target in targets]
            self._reader = opened.enter_context(Database(targets[0], keep_connection=False))
            self._writers = [
                TableWriter(database, self._table, schema, key, create=True)
                for database in (self._embedded, *self._databases)
            ]
            self._opened = opened.pop_all()
        self._files = [RowsFile(sink.path, self.rows, clock) for sink in sinks if sink.kind == "jsonl" and sink.path]
        self._top = top
        self._console = RowsConsole(top) if any(sink.kind == "console" for sink in sinks) else None
        self._counted = 0
        self.count_is_old = bool(counted)
        self._counting = Throttle(clock)

    def store(self, rows: pa.Table, *, query_id: str | None, batch_id: int = 0, replace: bool = False) -> None:
        """Store a micro-batch in the table and in the databases.

        Args:
            rows: absolute values.
            query_id: the query of the micro-batch; None for rows of no query.
            batch_id: its number in that query.
            replace: delete all other rows: these are the whole result.

        Raises:
            SinkError: it cannot be stored.
            OptionError: a table in a database does not fit.
        """
        self.count_is_old = bool(self._counted_column)
        for writer in self._writers:
            writer.write(rows, query_id=query_id, batch_id=batch_id, replace=replace)

    def catch_up(self, query_id: str, newest: int) -> None:
        """Write the whole table into each database that lacks a micro-batch because it was added later or was away.

        Args:
            query_id: the query whose micro-batches the table holds.
            newest: the number of the newest one.

        Raises:
            SinkError: a database cannot be written.
        """
        for database, writer in zip(self._databases, self._writers[1:], strict=True):
            if stored_batch(database, query_id, self._table) >= newest:
                continue
            rows = read_rows(self._embedded, self._table)
            while part := list(islice(rows, ROWS_AT_ONCE)):
                writer.write(pa.Table.from_pylist(part, schema=self._schema), query_id=None)
            # The number goes in last, so that a copy which a kill interrupted starts again from the first row.
            writer.write(self._schema.empty_table(), query_id=query_id, batch_id=newest)

    def show(self, rows: pa.Table, tally: Tally) -> None:
        """Print a stored micro-batch, and mark the files as changed.

        Raises:
            SinkError: a sink cannot be written.
        """
        if self._console is not None:
            ordered = rows.sort_by([(name, "ascending") for name in self._key])
            shown = [_without_number(row) for row in ordered.slice(0, self._top).to_pylist()]
            self._console.show(shown, rows.num_rows, str(tally))
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
        """Yield all rows of the table, ordered by key, from one consistent state."""
        for row in read_rows(self._reader, self._table):
            yield _without_number(row)

    def counted(self, *, now: bool) -> int | None:
        """Return how many lines the table's rows count; None if no column has that number.

        Counting reads the whole table, so the number may be some seconds old unless ``now`` is set. ``count_is_old``
        says whether a micro-batch was stored since.

        Raises:
            SinkError: the table cannot be read.
        """
        if not self._counted_column:
            return None
        if now or self._counting.is_due():
            column = self._writers[0].target.table.c[self._counted_column]
            with self._counting.working(), self._embedded.reading() as connection:
                self._counted = int(connection.execute(sa.select(sa.func.sum(column))).scalar() or 0)
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
