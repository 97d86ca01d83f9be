"""Staging for results that are too large for the driver: each task stages its rows, the driver's commit moves them.

::

    task      rows ──► <table>_staged_<hash>    under the id of this attempt; nobody reads them there
    commit    rows of the attempts that Spark counts ──► <table>, ledger; all other rows of this query deleted

The move is one transaction. Rows of a killed run, of a failed task or of a task's second attempt are never moved: the
next commit of the query deletes them, and after a day any query's commit does. In PostgreSQL the staging table is
UNLOGGED, so that rows go through the write-ahead log once and not twice; a crash of the server empties such a table.
The commit therefore counts the rows that it moves.

The hash is over the columns, so results with other columns stage in another table.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from spark_job.errors import OptionError, SinkError
from spark_job.sinks.database.columns import Instant, flat_key, flat_schema, flat_table
from spark_job.sinks.database.dialects import upsert_rows
from spark_job.sinks.database.ledger import prepare_ledger
from spark_job.sinks.database.ownership import TableOwnership
from spark_job.sinks.database.rows import bound_rows
from spark_job.sinks.database.tables import LONGEST_NAME, MYSQL_OPTIONS, ensure_table, prepare_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spark_job.sinks.database.connection import Database

HASH_DIGITS = 8
LONGEST_TABLE_NAME = LONGEST_NAME - len("_staged_") - HASH_DIGITS
ABANDONED_AFTER = timedelta(days=1)
ROWS_PER_STATEMENT = 10_000
OWN_COLUMNS = ("staged_by", "staged_part", "staged_row", "staged_at")


class Staging:
    """A target table and its staging table. The driver and each task make one from the same arguments.

    Args:
        database: the database; the caller closes it.
        name: of the target table.
        schema: of the result; each field of a struct becomes a column.
        key: columns that tell the rows of the result apart; a struct stands for all its fields.
        create: whether to create a missing table.
        adopt: whether the first move may take the target table from another owner.

    Raises:
        OptionError: the table does not fit, is missing and must not be created, or its name is too long.
        SinkError: the database is away for too long, or refuses.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        schema: pa.Schema,
        key: Sequence[str],
        *,
        create: bool,
        adopt: bool = False,
    ) -> None:
        if len(name) > LONGEST_TABLE_NAME:
            raise OptionError(
                f"table {name!r}: at most {LONGEST_TABLE_NAME} characters, because its staging table gets a longer name"
            )
        self._database = database
        self.target = prepare_table(database, name, flat_schema(schema), flat_key(key, schema), create=create)
        shape = " ".join(f"{column.name} {column.type!r}" for column in self.target.table.columns)
        digest = hashlib.sha256(shape.encode()).hexdigest()[:HASH_DIGITS]
        self.staged = _staged_table(f"{name}_staged_{digest}", self.target.table, database.dialect)
        ensure_table(database, self.staged, create=create)
        prepare_ledger(database, create=create)
        self._ownership = TableOwnership(database, name, create=create, adopt=adopt)

    def check_owner(self) -> None:
        """Refuse the rows of a batch before they are staged, if the table has an owner. Changes nothing.

        Raises:
            OptionError: the table belongs to another writer and is not adopted.
            SinkError: the database is away for too long, or refuses.
        """
        self._ownership.check(None)

    def purge(self, now: datetime | None = None) -> int:
        """Delete rows that were abandoned a day ago; return their number."""
        before = (now or datetime.now(UTC)) - ABANDONED_AFTER
        old = sa.delete(self.staged).where(self.staged.c.staged_at < before)
        return int(self._database.transaction(lambda connection: connection.execute(old).rowcount))

    def stage(self, owner: str, batches: Iterable[pa.RecordBatch]) -> tuple[str, int]:
        """Stage the rows of one task; return the id of this attempt and the number of rows.

        Args:
            owner: the query, or the single write, of the rows.
            batches: rows in the schema of the result.

        Raises:
            SinkError: the database is away for too long, or refuses; a row cannot be stored.
        """
        part, count = str(uuid.uuid4()), 0
        # After a lost connection nobody knows whether the insert was committed. An upsert can repeat it safely.
        statement = upsert_rows(self.staged, ("staged_part", "staged_row"), self._database.dialect)
        as_text = self._database.dialect == "sqlite"
        for batch in batches:
            bound = bound_rows(flat_table(pa.Table.from_batches([batch])), self.target, decimals_as_text=as_text)
            now = datetime.now(UTC)
            own = {"staged_by": owner, "staged_part": part, "staged_at": now}
            rows = [row | own | {"staged_row": count + place} for place, row in enumerate(bound)]
            for first in range(0, len(rows), ROWS_PER_STATEMENT):
                self._insert(statement, rows[first : first + ROWS_PER_STATEMENT])
            count += len(rows)
        return part, count

    def _insert(self, statement: sa.Insert, rows: list[dict[str, Any]]) -> None:
        self._database.transaction(lambda connection: connection.execute(statement, rows))

    def move(self, owner: str, parts: dict[str, int], batch_id: int | None, *, replace: bool) -> int:
        """Move staged rows into the target table, in one transaction; return their number.

        Args:
            owner: the query, or the single write, of the rows; the key of a query in the ledger.
            parts: the attempts that count, with the number of rows of each.
            batch_id: the batch's number in its query; None for a write without a query.
            replace: delete all other rows.

        Raises:
            OptionError: the table belongs to another writer.
            SinkError: staged rows are missing, two have one key, the database is away for too long, or refuses.
        """
        query_id = None if batch_id is None else owner

        def work(connection: sa.Connection, newest: int) -> int:
            # Spark may commit a batch again after a kill; the ledger says that its rows have moved.
            known = batch_id is not None and newest >= batch_id
            moved = 0 if known else self._move(connection, parts, replace=replace)
            if not known:
                self._ownership.record(connection, query_id, batch_id or 0, moved)
            connection.execute(sa.delete(self.staged).where(self.staged.c.staged_by == owner))
            return moved

        return self._ownership.transaction(query_id, work)

    def _move(self, connection: sa.Connection, parts: dict[str, int], *, replace: bool) -> int:
        counted = self.staged.c.staged_part.in_(list(parts))
        table, key = self.target.table, self.target.key
        found, expected = connection.scalar(sa.select(sa.func.count()).where(counted)), sum(parts.values())
        if found != expected:
            raise SinkError(
                f"{self._database.url}: {expected:,} rows were staged for {table.name}, but {found:,} are left; "
                "start the job again, so that they are staged again"
            )
        key_columns = [self.staged.c[name] for name in key]
        twice = sa.select(*key_columns).where(counted).group_by(*key_columns).having(sa.func.count() > 1).limit(1)
        if connection.execute(twice).first() is not None:
            raise SinkError(f"rows of the result for {table.name} have the same key ({', '.join(key)})")
        if replace:
            connection.execute(sa.delete(table))
        rows = sa.select(*(self.staged.c[column.name] for column in table.columns)).where(counted)
        # Ordered by key like all writes (rows.py), so that two transactions never wait for each other.
        connection.execute(upsert_rows(table, key, connection.dialect.name, rows.order_by(*key_columns)))
        return expected

    def drop(self, parts: Iterable[str]) -> None:
        """Delete the rows of attempts that do not count.

        Raises:
            SinkError: the database is away for too long, or refuses.
        """
        doomed = sa.delete(self.staged).where(self.staged.c.staged_part.in_(list(parts)))
        self._database.transaction(lambda connection: connection.execute(doomed))


def _staged_table(name: str, target: sa.Table, dialect: str) -> sa.Table:
    taken = sorted(set(OWN_COLUMNS) & set(target.columns.keys()))
    if taken:
        raise OptionError(f"the staging table has columns called {', '.join(taken)} itself; rename those of the result")
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("staged_by", sa.String(64), nullable=False),
        sa.Column("staged_part", sa.String(36), primary_key=True),
        sa.Column("staged_row", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("staged_at", Instant, nullable=False),
        *(sa.Column(column.name, column.type, nullable=True) for column in target.columns),
        prefixes=["UNLOGGED"] if dialect == "postgresql" else [],
        **MYSQL_OPTIONS,
    )
