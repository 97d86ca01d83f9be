"""Lets only one writer own a table: two would overwrite each other's rows, and a count of 1000 would become 7.

The ledger has one row more for each table, which locks it::

    query_id     table_name   batch_id
    (lock)       actions      -1         locked first in each transaction that writes the table
    3f2a9c...    actions      17         the owner

=========================================  ============================================================================
the table                                  a query that writes it
=========================================  ============================================================================
has no owner                               becomes the owner
has an entry of this query                 goes on
has an entry of another query              is refused, or adopts the table: in the transaction of its first rows the
                                           entry of the other query goes, so the other one is refused from then on
has entries of several queries, which only the first one that goes on stays the owner; the entries of the others go
an earlier version made
=========================================  ============================================================================

A write of a batch, which belongs to no query, is refused in the same way. It leaves the table without an owner, unless
it adopted the table: then it leaves the entry ``(batch)``, because the query that had the table must not find it free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from headrace.common.text import iso_utc
from spark_job.errors import OptionError
from spark_job.sinks.database.ledger import (
    LEDGER,
    NAME,
    NONE_YET,
    forget_query,
    newest_batch,
    prepare_ledger,
    record_batch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spark_job.sinks.database.connection import Database

T = TypeVar("T")

LOCK = "(lock)"
BATCH_WRITES = "(batch)"
"""No id of a query looks like these two."""


class TableOwnership:
    """The right of a writer to a table; each of its transactions asks for it again.

    Args:
        database: the database; the caller closes it.
        table: name of the table.
        create: whether to create a missing ledger.
        adopt: whether to take the table from another owner. Only the first transaction may: were it taken back
            whenever another writer adopts it, two writers could go on for ever with half of the rows each.
    """

    def __init__(self, database: Database, table: str, *, create: bool, adopt: bool = False) -> None:
        self._database = database
        self._table = table
        self._create = create
        self._adopt = adopt
        self._ledger_is_there = False

    def check(self, query_id: str | None) -> None:
        """Refuse early what the first transaction would refuse. Changes and locks nothing.

        Args:
            query_id: the query; None for a write of a batch, and for a query that has no id yet.

        Raises:
            OptionError: another writer owns the table.
            SinkError: the database is away for too long, or refuses.
        """
        with self._database.reading() as connection:
            if sa.inspect(connection).has_table(NAME):
                self._others(connection, query_id or BATCH_WRITES)

    def transaction(self, query_id: str | None, work: Callable[[sa.Connection, int], T]) -> T:
        """Do ``work`` as the table's owner, in a transaction that no other writer of the table runs beside.

        Args:
            query_id: the query; None for a write of a batch.
            work: gets the connection and the newest stored micro-batch of the query, -1 for none.

        Raises:
            OptionError: another writer owns the table; or the ledger is missing and must not be created.
            SinkError: the database is away for too long, or refuses.
        """
        if query_id is not None and not self._ledger_is_there:
            prepare_ledger(self._database, create=self._create)
            self._ledger_is_there = True
        done = self._database.transaction(lambda connection: work(connection, self._claim(connection, query_id)))
        self._adopt = False
        return done

    def record(self, connection: sa.Connection, query_id: str | None, batch_id: int, rows: int) -> None:
        """Record a micro-batch as stored; of a write of a batch only the time, if the table was adopted by one."""
        if self._ledger_is_there:
            record_batch(connection, query_id or BATCH_WRITES, self._table, batch_id, rows)

    def _claim(self, connection: sa.Connection, query_id: str | None) -> int:
        # A write of a batch makes no ledger: without one no query has ever written here.
        if not self._ledger_is_there and not sa.inspect(connection).has_table(NAME):
            return NONE_YET
        self._ledger_is_there = True
        # Two queries that both write first see no entry of each other. One row that both must lock puts them in order.
        newest_batch(connection, LOCK, self._table)
        others = self._others(connection, query_id or BATCH_WRITES)
        for other in others:
            forget_query(connection, other, self._table)
        if query_id is None and not others:
            return NONE_YET
        return newest_batch(connection, query_id or BATCH_WRITES, self._table)

    def _others(self, connection: sa.Connection, writer: str) -> Sequence[str]:
        """Return the other queries with an entry, newest first; refuse if one of them owns the table."""
        # Not FOR UPDATE: MariaDB would lock every entry that it looks at, also those of other tables.
        entries = (
            sa.select(LEDGER.c.query_id, LEDGER.c.batch_id, LEDGER.c.stored_at)
            .where(LEDGER.c.table_name == self._table, LEDGER.c.query_id != LOCK)
            .order_by(LEDGER.c.stored_at.desc())
        )
        found = connection.execute(entries).all()
        others = [entry for entry in found if entry.query_id != writer]
        if others and len(others) == len(found) and not self._adopt:
            owner = others[0]
            name = "a write of a batch" if owner.query_id == BATCH_WRITES else f"the writer {owner.query_id}"
            newest = "none stored" if owner.batch_id == NONE_YET else f"number {owner.batch_id}"
            raise OptionError(
                f"{self._database.url}: the table {self._table} belongs to {name} (newest batch: {newest}, last "
                f"written {iso_utc(owner.stored_at.replace(microsecond=0))}); two writers would overwrite each other: "
                "write to another database or table, or take this table over with --adopt-table "
                "(in a program: adopt=True)"
            )
        return [other.query_id for other in others]
