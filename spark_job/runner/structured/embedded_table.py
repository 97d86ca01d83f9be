"""The results table of a structured job: rows, and which lines they are of, in one file and one transaction.

``counts.db`` in the job's folder has the table of the job, named after it, and beside it the records of
:mod:`spark_job.accounting.batch_records`. Rows are absolute values that replace those with the same key; or, for a job
whose rows are sums, each micro-batch brings sums over its own lines, and the transaction adds them.

==============================  ======================================================================================
killed, or without power        and on the next start
==============================  ======================================================================================
before the transaction ended    SQLite undoes it, records included: the lines are read again
after it                        the records say that the micro-batch is stored: it changes nothing when it comes again
==============================  ======================================================================================

The totals of the records are read, lost, malformed, late and missed lines; ``hits``, for sums only: what the column
that counts lines adds up to; and ``dead_letters_dropped``.
"""

from __future__ import annotations

import uuid
from dataclasses import replace as changed_copy
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from spark_job.accounting.batch_records import BatchRecords
from spark_job.accounting.tally import Tally
from spark_job.errors import AccountingError, SinkError
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
    from spark_job.sinks.rows import Row

TERMS = ("read", "lost", "malformed", "late", "missed")
TOTALS = (*TERMS, "hits", "dead_letters_dropped")
BATCH_COLUMNS = "query_id TEXT NOT NULL, batch_id INTEGER NOT NULL, ranges TEXT NOT NULL, " + ", ".join(
    f"{name} INTEGER NOT NULL" for name in TERMS
)
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS table_state (table_id TEXT NOT NULL, next_sequence INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS positions (log_id TEXT PRIMARY KEY, next_offset INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS batches (sequence INTEGER PRIMARY KEY, {BATCH_COLUMNS}, UNIQUE (query_id, batch_id))",
)
STAGED = "headrace_staged"


class EmbeddedTable:
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
        self.path = path
        self.name = name
        self.schema = flat_schema(schema)
        self._sums = tuple(sums)
        self._counted = counted
        self._windows_per_line = windows_per_line
        self._database = Database(parse_database_url(f"sqlite:///{path}"))
        try:
            self._target = prepare_table(self._database, name, self.schema, flat_key(key, schema), create=True)
            self._database.transaction(_prepare)
        except BaseException:
            self._database.close()
            raise
        columns = [sa.Column(column.name, column.type) for column in self._target.table.columns]
        self._staged = sa.Table(STAGED, sa.MetaData(), *columns, prefixes=["TEMPORARY"])

    def _records(self, connection: sa.Connection) -> BatchRecords:
        return BatchRecords(self.path, connection.exec_driver_sql, TERMS)

    def record(self, entry: LedgerEntry, rows: pa.Table, *, replace: bool = False) -> pa.Table:
        """Store a micro-batch, unless it is stored already; return the rows that it changed, as the table has them.

        Args:
            entry: the micro-batch's ledger entry.
            rows: its result; for a job whose rows are sums, over the lines of this micro-batch alone.
            replace: delete all other rows: these are the whole result.

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
            if not self._sums:
                if not known:
                    self._put(connection, bound, replace=replace)
                return rows.slice(0, 0) if known else rows
            self._stage(connection, bound)
            if not known:
                connection.execute(self._add_staged())
                if self._counted:
                    records.add(hits=pc.sum(rows.column(self._counted)).as_py() or 0)
            return self._staged_rows(connection)

        return self._database.transaction(work)

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
        same = sa.and_(*(table.c[name] == self._staged.c[name] for name in key))
        query = sa.select(table).join_from(self._staged, table, same).order_by(*(table.c[name] for name in key))
        read = {column.name: value_reader(column) for column in table.columns}
        found = [
            {name: read[name](value) for name, value in row.items()} for row in connection.execute(query).mappings()
        ]
        try:
            return pa.Table.from_pylist(found, schema=self.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            # SQLite goes on with floating point numbers where whole ones end. The transaction is undone.
            raise SinkError(f"{self.path}: a sum has grown beyond what its column can hold: {error}") from None

    def table_id(self) -> str:
        """Return the id of the results, which names them in the ledgers of databases."""
        with self._database.reading() as connection:
            return self._records(connection).table_id()

    def next_sequence(self) -> int:
        """Return the number that the next micro-batch gets: how many were ever stored."""
        with self._database.reading() as connection:
            return self._records(connection).next_sequence()

    def positions(self) -> dict[str, int]:
        """Return log id to the offset up to which the results hold the log."""
        with self._database.reading() as connection:
            return self._records(connection).positions()

    def skip_lost(self, starts: Mapping[str, int]) -> None:
        """Count the events as lost between what the table holds and where the next query starts."""
        self._database.transaction(lambda connection: self._records(connection).skip_lost(starts))

    def owner(self) -> str | None:
        """Return the query that stored the newest micro-batch; None before the first one."""
        with self._database.reading() as connection:
            newest = self._records(connection).newest()
        return None if newest is None else newest[0]

    def newest_batch(self) -> int | None:
        """Return the number of the newest micro-batch in its query; None before the first one."""
        with self._database.reading() as connection:
            newest = self._records(connection).newest()
        return None if newest is None else newest[1]

    def tally(self) -> Tally:
        """Return the tally of all micro-batches of a job whose rows are sums."""
        with self._database.reading() as connection:
            totals = {name: self._records(connection).total(name) for name in (*TERMS, "hits")}
        tally = Tally(**totals, windows_per_line=self._windows_per_line)
        # Only a version before, which had a watermark, has found late lines.
        return tally if tally.late else changed_copy(tally, late=None)

    def tally_with(self, hits: int | None, *, final: bool) -> Tally:
        """Return the tally of all micro-batches of a job that has no sums.

        Args:
            hits: how many lines the rows count; None if they cannot tell.
            final: whether results are stored only when they are final: then a line that is in no other term is open.
                Otherwise it is missing, and the sum does not balance.
        """
        with self._database.reading() as connection:
            totals = {name: self._records(connection).total(name) for name in TERMS}
        rest = totals["read"] - totals["malformed"] - totals["late"]
        if hits is None:
            return Tally(**totals, hits=rest)
        tally = Tally(**totals, hits=hits, windows_per_line=self._windows_per_line)
        # Not below zero: if more lines are counted than are left, none is open, and the sum must not balance.
        return changed_copy(tally, open=max(0, rest - tally.counted)) if final else tally

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
        with self._database.reading() as connection:
            found, total = self._hits(connection), self._records(connection).total("hits")
        if found != total:
            raise AccountingError(
                f"{self.path}: the column {self._counted} adds up to {found}, but the total says {total}; the file was "
                "changed from outside: take a new job folder and consumer name to count again"
            )

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines whose text was not kept.

        Raises:
            SinkError: the file cannot be written.
        """
        self._database.transaction(lambda connection: self._records(connection).add(dead_letters_dropped=lines))

    def go_on_from(self, entries: Sequence[LedgerEntry], sums: Mapping[str, int], positions: Mapping[str, int]) -> None:
        """Take the records over that a version before kept elsewhere.

        Args:
            entries: the newest micro-batch, and one more if the rows are a micro-batch ahead of these records.
            sums: of the terms, the newest micro-batch included.
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
            if self._sums:
                records.add(hits=self._hits(connection))

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


def _prepare(connection: sa.Connection) -> None:
    for statement in SCHEMA:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(
        "INSERT INTO table_state SELECT ?, 0 WHERE NOT EXISTS (SELECT * FROM table_state)", (str(uuid.uuid4()),)
    )
    for name in TOTALS:
        connection.exec_driver_sql("INSERT OR IGNORE INTO totals VALUES (?, 0)", (name,))
