"""Writes one batch of a result into its table, in one transaction with its entry in the ledger."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from spark_job.sinks.database.columns import flat_key, flat_schema, flat_table
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.dialects import upsert_rows
from spark_job.sinks.database.ownership import TableOwnership
from spark_job.sinks.database.rows import bound_rows
from spark_job.sinks.database.tables import prepare_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pyspark.sql import DataFrame

    from spark_job.sinks.database.url import DatabaseUrl

ROWS_PER_STATEMENT = 10_000


@dataclass(frozen=True)
class OldRows:
    """Rows that retention deletes: those whose instant in ``column`` is before ``before``."""

    column: str
    before: datetime

    def delete(self, connection: sa.Connection, table: sa.Table) -> None:
        """Delete them, in the transaction of the connection."""
        connection.execute(sa.delete(table).where(table.c[self.column] < self.before))


class TableWriter:
    """Writes the batches of one result into one table. One thread at a time may use it.

    Args:
        database: the database; the caller closes it.
        name: of the table.
        schema: of the result; each field of a struct becomes a column.
        key: columns that tell the rows of the result apart; a struct stands for all its fields.
        create: whether to create a missing table or ledger.
        adopt: whether the first write may take the table from another owner.

    Raises:
        OptionError: the table does not fit, or is missing and must not be created.
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
        self._database = database
        self.target = prepare_table(database, name, flat_schema(schema), flat_key(key, schema), create=create)
        self._ownership = TableOwnership(database, name, create=create, adopt=adopt)

    def check_owner(self, query_id: str | None) -> None:
        """Refuse early a table that the first write would find with another owner. Changes nothing.

        Args:
            query_id: the query that will write; None if it has no id yet, or for a write of a batch.

        Raises:
            OptionError: the table belongs to another writer and is not adopted.
            SinkError: the database is away for too long, or refuses.
        """
        self._ownership.check(query_id)

    def write(
        self,
        rows: pa.Table,
        *,
        query_id: str | None,
        batch_id: int | None = 0,
        replace: bool = False,
        old: OldRows | None = None,
    ) -> int:
        """Store a batch, unless it is stored already; return the number of rows written.

        Args:
            rows: absolute values; a row replaces the one with the same key.
            query_id: the query of the batch; None: no query, and no entry in the ledger.
            batch_id: the batch's number in that query; None for rows of no one batch, which are always written.
            replace: delete all other rows, in the same transaction.
            old: rows to delete, in the same transaction.

        Raises:
            OptionError: the table belongs to another writer.
            SinkError: the database is away for too long, or refuses; two rows have one key, or a key has no value.
        """
        table, key = self.target.table, self.target.key
        bound = bound_rows(flat_table(rows), self.target, decimals_as_text=self._database.dialect == "sqlite")

        def store(connection: sa.Connection, newest: int) -> int:
            if query_id is not None and batch_id is not None and newest >= batch_id:
                return 0
            if replace:
                connection.execute(sa.delete(table))
            statement = upsert_rows(table, key, connection.dialect.name)
            for first in range(0, len(bound), ROWS_PER_STATEMENT):
                connection.execute(statement, bound[first : first + ROWS_PER_STATEMENT])
            if old is not None:
                old.delete(connection, table)
            if batch_id is not None:
                self._ownership.record(connection, query_id, batch_id, len(bound))
            return len(bound)

        return self._ownership.transaction(query_id, store)


def write_batch(
    target: DatabaseUrl | Database,
    table: str,
    key: Sequence[str],
    rows: pa.Table | DataFrame,
    *,
    query_id: str | None,
    batch_id: int = 0,
    create: bool = True,
    replace: bool = False,
    adopt: bool = False,
) -> int:
    """Store a single batch. For many batches keep a :class:`TableWriter`, which checks the table only once.

    Returns:
        The number of rows written; 0 if the batch was stored already.

    Raises:
        OptionError: the table does not fit, belongs to another writer, or is missing and must not be created.
        SinkError: the database is away for too long, or refuses; two rows have one key, or a key has no value.
    """
    found = rows if isinstance(rows, pa.Table) else rows.toArrow()
    with ExitStack() as opened:
        database = target if isinstance(target, Database) else opened.enter_context(Database(target))
        writer = TableWriter(database, table, found.schema, key, create=create, adopt=adopt)
        return writer.write(found, query_id=query_id, batch_id=batch_id, replace=replace)
