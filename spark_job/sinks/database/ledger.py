"""Records the newest stored micro-batch of each query in each table, in the transaction that stores it.

::

    headrace_batches   query_id, table_name  the key: the id of the query, kept in its checkpoint or job folder
                       batch_id              the newest stored micro-batch; Spark numbers them from 0 without gaps
                       row_count             rows of that micro-batch
                       stored_at

A micro-batch whose number is not above the ledger's is stored already, so nothing is written. A query that lost its
checkpoint starts again at number 0 under another id, so its micro-batches do not look stored. It is then another writer
of the table, see :mod:`spark_job.sinks.database.ownership`.

The row stays locked until the transaction ends. If two drivers run one query because the first was wrongly thought
dead, the second waits for the lock and then finds the micro-batch stored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from spark_job.sinks.database.columns import Instant
from spark_job.sinks.database.dialects import insert_missing
from spark_job.sinks.database.tables import ensure_table

if TYPE_CHECKING:
    from spark_job.sinks.database.connection import Database

NAME = "headrace_batches"
NONE_YET = -1
LEDGER = sa.Table(
    NAME,
    sa.MetaData(),
    sa.Column("query_id", sa.String(64), primary_key=True),
    sa.Column("table_name", sa.String(64), primary_key=True),
    sa.Column("batch_id", sa.BigInteger, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("stored_at", Instant, nullable=False),
)


def prepare_ledger(database: Database, *, create: bool) -> None:
    """Create the ledger unless it exists.

    Raises:
        OptionError: it is missing and must not be created.
        SinkError: the database is away for too long, or refuses.
    """
    ensure_table(database, LEDGER, create=create)


def newest_batch(connection: sa.Connection, query_id: str, table: str) -> int:
    """Return the newest micro-batch of a query in a table, -1 for none, and lock the row until the transaction ends."""
    # FOR UPDATE locks only a row that exists, so the row is made first.
    start = {"query_id": query_id, "table_name": table, "batch_id": NONE_YET, "row_count": 0, "stored_at": _now()}
    connection.execute(insert_missing(LEDGER, connection.dialect.name), start)
    found = connection.execute(sa.select(LEDGER.c.batch_id).where(_row(query_id, table)).with_for_update())
    return int(found.scalar_one())


def stored_batch(database: Database, query_id: str, table: str) -> int:
    """Return the newest micro-batch of a query in a table, -1 for none or without a ledger. Locks nothing.

    Raises:
        SinkError: the database is away for too long, or refuses.
    """
    with database.reading() as connection:
        return stored_batch_on(connection, query_id, table)


def stored_batch_on(connection: sa.Connection, query_id: str, table: str) -> int:
    """Return what :func:`stored_batch` does, from the state that a connection reads."""
    if not sa.inspect(connection).has_table(NAME):
        return NONE_YET
    found = connection.scalar(sa.select(LEDGER.c.batch_id).where(_row(query_id, table)))
    return NONE_YET if found is None else int(found)


def record_batch(connection: sa.Connection, query_id: str, table: str, batch_id: int, rows: int) -> None:
    """Record a micro-batch as stored."""
    values = {"batch_id": batch_id, "row_count": rows, "stored_at": _now()}
    connection.execute(sa.update(LEDGER).where(_row(query_id, table)).values(values))


def forget_query(connection: sa.Connection, query_id: str, table: str) -> None:
    """Delete the entry of a query in a table."""
    connection.execute(sa.delete(LEDGER).where(_row(query_id, table)))


def _row(query_id: str, table: str) -> sa.ColumnElement[bool]:
    return sa.and_(LEDGER.c.query_id == query_id, LEDGER.c.table_name == table)


def _now() -> datetime:
    return datetime.now(UTC)
