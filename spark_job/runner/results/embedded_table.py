"""The results table of a job: rows, and which lines they are of, in one file and one transaction.

``counts.db`` in the job's folder has the table of the job, named after it, and beside it the records of
:mod:`spark_job.accounting.batch_records`. Rows are absolute values that replace those with the same key; or, for a job
whose rows are sums, each micro-batch brings sums over its own lines, and the transaction adds them.

==============================  ======================================================================================
killed, or without power        and on the next start
==============================  ======================================================================================
before the transaction ended    SQLite undoes it, records included: the lines are read again
after it                        the records say that the micro-batch is stored: it changes nothing when it comes again
==============================  ======================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from spark_job.errors import AccountingError, SinkError
from spark_job.runner.results.embedded_records import TERMS, EmbeddedRecords
from spark_job.sinks.database import Database, parse_database_url, read_rows
from spark_job.sinks.database.columns import flat_key, flat_schema, flat_table
from spark_job.sinks.database.dialects import upsert_rows
from spark_job.sinks.database.read import value_reader
from spark_job.sinks.database.rows import bound_rows
from spark_job.sinks.database.tables import prepare_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.sinks.database.write import OldRows
    from spark_job.sinks.rows import Row

STAGED = "headrace_staged"


class EmbeddedTable(EmbeddedRecords):
    """The table and its records; close it, or use it as a context manager. One thread at a time may use it.

    Args:
        path: the file; created if it is missing.
        name: of the table.
        schema: of the result.
        key: the columns that tell rows apart.
        sums: the columns that a micro-batch adds to; empty: its rows replace those with the same key.
        counted: the column whose sum is the number of lines counted; empty if no column has it.
        windows_per_line: in how many rows a line is counted.

    Raises:
        SinkError: the file cannot be opened.
        OptionError: the table in it has other columns.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        schema: pa.Schema,
        key: Sequence[str],
        *,
        sums: Sequence[str] = (),
        counted: str = "",
        windows_per_line: int = 1,
    ) -> None:
        self.name = name
        self.schema = flat_schema(schema)
        self._sums = tuple(sums)
        self._counted = counted
        database = Database(parse_database_url(f"sqlite:///{path}"))
        try:
            self._target = prepare_table(database, name, self.schema, flat_key(key, schema), create=True)
            super().__init__(path, database, windows_per_line)
        except BaseException:
            database.close()
            raise
        columns = [sa.Column(column.name, column.type) for column in self._target.table.columns]
        self._staged = sa.Table(STAGED, sa.MetaData(), *columns, prefixes=["TEMPORARY"])

    def record(
        self,
        entry: LedgerEntry,
        rows: pa.Table,
        *,
        replace: bool = False,
        final: bool = False,
        lines: int = 0,
        old: OldRows | None = None,
    ) -> pa.Table:
        """Store a micro-batch, unless it is stored already; return the rows that it changed, as the table has them.

        Args:
            entry: the micro-batch's ledger entry.
            rows: its result; for a job whose rows are sums, over the lines of this micro-batch alone.
            replace: delete all other rows: these are the whole result.
            final: stored rows never change. A new query, which begins without a state, may make one again from lines
                that come later; these lines are late.
            lines: how many lines the rows count, if no column says so; added to the total ``hits``.
            old: rows to delete, in the same transaction.

        Raises:
            AccountingError: the micro-batch does not begin where the table stands, or differs from its first run.
            SinkError: it cannot be stored.
        """
        bound = self._bound(rows)

        def work(connection: sa.Connection) -> pa.Table:
            records = self._records(connection)
            known = records.holds(entry)
            if not known:
                records.record(entry)
            if self._sums:
                self._stage(connection, bound)
                if not known:
                    connection.execute(self._add_staged())
                    records.add(hits=pc.sum(rows.column(self._counted)).as_py() or 0)
                return self._staged_rows(connection)
            if known:
                return rows.slice(0, 0)
            records.add(hits=lines)
            if final and (late := self._drop_known(connection, bound)):
                records.add(late=late)
                self._put_staged(connection)
                return self._staged_rows(connection)
            self._put(connection, bound, replace=replace)
            if old is not None:
                old.delete(connection, self._target.table)
            return rows

        return self._database.transaction(work)

    def empty(self) -> None:
        """Delete all rows, and the records of what they were of: all results are about to be computed again."""

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.delete(self._target.table))
            for name in ("batches", "positions"):
                connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 -- no text from outside
            connection.exec_driver_sql("UPDATE totals SET value = 0")

        self._database.transaction(work)

    def replace_all(self, rows: pa.Table) -> None:
        """Store the whole result of a run that belongs to no query, in place of all rows.

        Raises:
            SinkError: it cannot be stored.
        """
        bound = self._bound(rows)
        self._database.transaction(lambda connection: self._put(connection, bound, replace=True))

    def _bound(self, rows: pa.Table) -> list[dict[str, Any]]:
        return bound_rows(flat_table(rows), self._target, decimals_as_text=True)

    def _put(self, connection: sa.Connection, bound: list[dict[str, Any]], *, replace: bool) -> None:
        table = self._target.table
        if replace:
            connection.execute(sa.delete(table))
        if bound:
            connection.execute(upsert_rows(table, self._target.key, connection.dialect.name), bound)

    def _stage(self, connection: sa.Connection, bound: list[dict[str, Any]]) -> None:
        connection.execute(CreateTable(self._staged, if_not_exists=True))
        connection.execute(sa.delete(self._staged))
        if bound:
            connection.execute(sa.insert(self._staged), bound)

    def _same_key(self) -> sa.ColumnElement[bool]:
        table = self._target.table
        return sa.and_(*(table.c[name] == self._staged.c[name] for name in self._target.key))

    def _drop_known(self, connection: sa.Connection, bound: list[dict[str, Any]]) -> int:
        """Stage the rows, delete those of them that the table has, and return how many lines these count."""
        self._stage(connection, bound)
        there = sa.exists().where(self._same_key())
        late = connection.scalar(sa.select(sa.func.sum(self._staged.c[self._counted])).where(there))
        connection.execute(sa.delete(self._staged).where(there))
        return int(late or 0)

    def _put_staged(self, connection: sa.Connection) -> None:
        names = [column.name for column in self._target.table.columns]
        connection.execute(sa.insert(self._target.table).from_select(names, sa.select(self._staged)))

    def _add_staged(self) -> sa.Executable:
        """Return the statement that adds the staged rows. A sum without a value, of no values, adds nothing."""
        table, key = self._target.table, self._target.key
        # With a condition, because SQLite would otherwise read ON CONFLICT as the ON of a join.
        rows = sa.select(self._staged).where(sa.literal(1) == 1)
        new = sqlite.insert(table).from_select([column.name for column in table.columns], rows)
        values = {
            column.name: sa.func.coalesce(column + new.excluded[column.name], column, new.excluded[column.name])
            if column.name in self._sums
            else new.excluded[column.name]
            for column in table.columns
            if column.name not in key
        }
        return new.on_conflict_do_update(index_elements=list(key), set_=values)

    def _staged_rows(self, connection: sa.Connection) -> pa.Table:
        table, key = self._target.table, self._target.key
        query = (
            sa.select(table).join_from(self._staged, table, self._same_key()).order_by(*(table.c[name] for name in key))
        )
        read = {column.name: value_reader(column) for column in table.columns}
        found = [
            {name: read[name](value) for name, value in row.items()} for row in connection.execute(query).mappings()
        ]
        try:
            return pa.Table.from_pylist(found, schema=self.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            # SQLite goes on with floating point numbers where whole ones end. The transaction is undone.
            raise SinkError(f"{self.path}: a sum has grown beyond what its column can hold: {error}") from None

    def count_hits(self) -> int:
        """Add up the column that counts lines. Reads the whole table.

        Raises:
            SinkError: the table cannot be read.
        """
        with self._database.reading() as connection:
            return self._hits(connection)

    def _hits(self, connection: sa.Connection) -> int:
        column = self._target.table.c[self._counted]
        return int(connection.execute(sa.select(sa.func.sum(column))).scalar() or 0)

    def verify(self) -> None:
        """Compare the rows of a job whose rows are sums with the total, to which each micro-batch added.

        Raises:
            AccountingError: they differ.
        """
        if not self._sums:
            return
        with self._database.reading() as connection:
            found, total = self._hits(connection), self._records(connection).total("hits")
        if found != total:
            raise AccountingError(
                f"{self.path}: the column {self._counted} adds up to {found}, but the total says {total}; the file was "
                "changed from outside: take a new job folder and consumer name to count again"
            )

    def go_on_from(self, entries: Sequence[LedgerEntry], sums: Mapping[str, int], positions: Mapping[str, int]) -> None:
        """Take the records over that a version before kept elsewhere.

        Args:
            entries: the newest micro-batch, and one more if the rows are a micro-batch ahead of these records.
            sums: of the terms, the newest micro-batch included; with ``hits``, if the rows are no sums but their lines
                are in that total.
            positions: up to which offsets the logs were read, the newest micro-batch included.

        Raises:
            AccountingError: the entries do not join.
            SinkError: the file cannot be written.
        """
        newest, *ahead = entries

        def work(connection: sa.Connection) -> None:
            records = self._records(connection)
            state = (newest.query_id, newest.batch_id)
            connection.exec_driver_sql("UPDATE table_state SET table_id = ?, next_sequence = ?", state)
            records.record(newest)
            records.add(**{name: sums[name] - getattr(newest, name) for name in TERMS})
            records.add(dead_letters_dropped=sums["dropped_dead_letters"])
            for log_id, end in positions.items():
                connection.exec_driver_sql("INSERT OR REPLACE INTO positions VALUES (?, ?)", (log_id, end))
            for entry in ahead:
                records.record(entry)
            records.add(hits=self._hits(connection) if self._sums else sums.get("hits", 0))

        self._database.transaction(work)

    def rows(self) -> Iterator[Row]:
        """Yield all rows, ordered by key, from one consistent state."""
        return read_rows(self._database, self.name)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
