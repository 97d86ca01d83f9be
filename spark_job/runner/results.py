"""Where the results of a structured job go: a table in the job's folder, and from there to console, files, databases.

The table gets each batch in one transaction that notes its number. The files are written from it, so they agree with
it after every batch; a database of ``--sink`` gets the same rows under the same number.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from spark_job.errors import OptionError
from spark_job.sinks.database import Database, parse_target, read_rows
from spark_job.sinks.database.columns import flat_schema
from spark_job.sinks.database.ledger import stored_batch
from spark_job.sinks.database.write import TableWriter
from spark_job.sinks.jsonl import REST_PER_WORK
from spark_job.sinks.rows import RowsConsole, RowsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from spark_job.accounting.tally import Tally
    from spark_job.sinks.database import Target
    from spark_job.sinks.rows import Row
    from spark_job.sinks.sink_spec import SinkChoice

NUMBER = "row"
"""Column that numbers the rows of a result that has no key."""
ROWS_AT_ONCE = 20_000


def numbered(rows: pa.Table, first: int) -> pa.Table:
    """Return the rows with their number in front."""
    return rows.add_column(0, NUMBER, pa.array(range(first, first + rows.num_rows), pa.int64()))


def _without_number(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != NUMBER}


def table_name(job: str) -> str:
    """Return the name of a job's table of results."""
    return job.replace("-", "_")


def check_sinks(sinks: Iterable[SinkChoice]) -> None:
    """Refuse what only URL counts can be written to.

    Raises:
        OptionError: names the sink.
    """
    for sink in sinks:
        if sink.kind == "parquet":
            raise OptionError(
                f"--sink {sink}: Parquet files are for url-counts; this job takes jsonl:PATH or a database"
            )


class Results:
    """The table and what is written from it; a context manager. One thread at a time may use it.

    Args:
        folder: of the embedded table ``counts.db``.
        job: its name; the table is called like it.
        schema: of the result.
        key: the columns that tell rows apart.
        sinks: console and files.
        databases: further tables that are kept equal to it.
        top: how many rows of a batch the console shows.
        counted: the column whose sum is the number of lines counted; empty: none tells.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        job: str,
        schema: pa.Schema,
        key: Sequence[str],
        sinks: Iterable[SinkChoice],
        *,
        databases: Sequence[Target] = (),
        top: int,
        counted: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sinks = tuple(sinks)
        self._table = table_name(job)
        self._key = key
        self._counted_column = counted
        self._clock = clock
        self._schema = flat_schema(schema)
        with ExitStack() as opened:
            targets = (parse_target(f"sqlite:///{folder / 'counts.db'}"), *databases)
            self._embedded, *self._databases = [opened.enter_context(Database(target)) for target in targets]
            self._writers = [
                TableWriter(database, self._table, schema, key, create=True)
                for database in (self._embedded, *self._databases)
            ]
            self._opened = opened.pop_all()
        self._files = [RowsFile(sink.path, self.rows) for sink in sinks if sink.kind == "jsonl" and sink.path]
        self._top = top
        self._console = RowsConsole(top) if any(sink.kind == "console" for sink in sinks) else None
        self._counted = 0
        self._count_again_s = 0.0

    def store(self, rows: pa.Table, *, query_id: str | None, batch_id: int = 0, replace: bool = False) -> None:
        """Store a batch in the table and in the databases.

        Args:
            rows: absolute values.
            query_id: whose batch it is; None for rows that are no query's.
            batch_id: its number in that query.
            replace: these rows are all that there are.

        Raises:
            SinkError: it cannot be stored.
            OptionError: a table in a database does not fit.
        """
        for writer in self._writers:
            writer.write(rows, query_id=query_id, batch_id=batch_id, replace=replace)

    def catch_up(self, query_id: str, newest: int) -> None:
        """Write the whole table into the databases that lack a batch: they were added later, or were away.

        Args:
            query_id: whose batches the table holds.
            newest: the newest of them.

        Raises:
            SinkError: a database cannot be written.
        """
        for database, writer in zip(self._databases, self._writers[1:], strict=True):
            if stored_batch(database, query_id, self._table) >= newest:
                continue
            rows = read_rows(self._embedded, self._table)
            while part := list(islice(rows, ROWS_AT_ONCE)):
                writer.write(pa.Table.from_pylist(part, schema=self._schema), query_id=None)
            # Only now: what a kill has left half done is begun again.
            writer.write(self._schema.empty_table(), query_id=query_id, batch_id=newest)

    def show(self, rows: pa.Table, tally: Tally) -> None:
        """Print a batch that has been stored, and bring the files up to date.

        Raises:
            SinkError: a sink cannot be written.
        """
        if self._console is not None:
            ordered = rows.sort_by([(name, "ascending") for name in self._key])
            shown = [_without_number(row) for row in ordered.slice(0, self._top).to_pylist()]
            self._console.show(shown, rows.num_rows, str(tally))
        for file in self._files:
            file.changed()

    def rows(self) -> Iterator[Row]:
        """Yield all rows of the table in the order of their keys."""
        for row in read_rows(self._embedded, self._table):
            yield _without_number(row)

    def counted(self, *, now: bool) -> int | None:
        """Return how many lines the table's rows stand for, None where they do not tell.

        A recent number will do unless it must be of ``now``.

        Raises:
            SinkError: the table cannot be read.
        """
        if not self._counted_column:
            return None
        began_s = self._clock()
        if now or began_s >= self._count_again_s:
            column = self._writers[0].target.table.c[self._counted_column]
            with self._embedded.reading() as connection:
                self._counted = int(connection.execute(sa.select(sa.func.sum(column))).scalar() or 0)
            ended_s = self._clock()
            self._count_again_s = ended_s + REST_PER_WORK * (ended_s - began_s)
        return self._counted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opened, ExitStack() as files:
            for file in self._files:
                files.enter_context(closing(file))
