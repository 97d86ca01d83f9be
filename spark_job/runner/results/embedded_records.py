"""The records of a job's results: in the file of the rows, and in their transactions.

The totals are read, lost, malformed, late and missed lines; ``hits``, the lines counted, for rows that are sums and
those of DStreams; and ``dead_letters_dropped``. ``table_state`` also has ``settled_sequence``: the number behind the
newest micro-batch whose commit in Spark's checkpoint is known to be on disk
(:mod:`spark_job.runner.structured.checkpoint_fit`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from dataclasses import replace as changed_copy
from typing import TYPE_CHECKING

from spark_job.accounting.batch_records import BatchRecords
from spark_job.accounting.tally import Tally
from spark_job.sinks.database.ledger import NONE_YET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import sqlalchemy as sa

    from spark_job.sinks.database import Database

TERMS = ("read", "lost", "malformed", "late", "missed")
TOTALS = (*TERMS, "hits", "dead_letters_dropped")
BATCH_COLUMNS = "query_id TEXT NOT NULL, batch_id INTEGER NOT NULL, ranges TEXT NOT NULL, " + ", ".join(
    f"{name} INTEGER NOT NULL" for name in TERMS
)
STATE_COLUMNS = "table_id TEXT NOT NULL, next_sequence INTEGER NOT NULL, settled_sequence INTEGER NOT NULL"
SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS table_state ({STATE_COLUMNS})",
    "CREATE TABLE IF NOT EXISTS positions (log_id TEXT PRIMARY KEY, next_offset INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS batches (sequence INTEGER PRIMARY KEY, {BATCH_COLUMNS}, UNIQUE (query_id, batch_id))",
)


@dataclass(frozen=True)
class NewestStored:
    """The newest micro-batch that the results table holds.

    Attributes:
        query_id: its query.
        batch_id: its number there.
        ranges: what it read: log id to first and next offset; logs of which it read nothing are left out.
        settled: whether its commit is known to be on disk.
    """

    query_id: str
    batch_id: int
    ranges: Mapping[str, tuple[int, int]]
    settled: bool


class EmbeddedRecords:
    """The records of one file. One thread at a time may use them.

    Args:
        path: the file.
        database: the same file, open.
        windows_per_line: in how many rows a line is counted.
    """

    def __init__(self, path: Path, database: Database, windows_per_line: int) -> None:
        self.path = path
        self._database = database
        self._windows_per_line = windows_per_line
        database.transaction(_prepare)

    def _records(self, connection: sa.Connection) -> BatchRecords:
        return BatchRecords(self.path, connection.exec_driver_sql, TERMS)

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

    def closed_before_us(self) -> int | None:
        """Return None: no row is too old."""
        return None

    def newest_stored(self) -> NewestStored | None:
        """Return the newest micro-batch; None before the first one."""
        with self._database.reading() as connection:
            newest = connection.exec_driver_sql(
                "SELECT query_id, batch_id, ranges, sequence < settled_sequence FROM batches, table_state "
                "ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
        if newest is None:
            return None
        ranges = {log_id: (start, end) for log_id, (start, end) in json.loads(newest[2]).items()}
        return NewestStored(newest[0], newest[1], ranges, bool(newest[3]))

    def newest_batch_id(self) -> int:
        """Return the number of the newest micro-batch in its query, -1 before the first."""
        with self._database.reading() as connection:
            return self.newest_batch_id_on(connection)

    def newest_batch_id_on(self, connection: sa.Connection) -> int:
        """Return what :meth:`newest_batch_id` does, from the state that a connection to the same file reads."""
        newest = self._records(connection).newest()
        return NONE_YET if newest is None else newest[1]

    def settle(self) -> None:
        """Remember that the commit of the newest micro-batch is on disk."""
        self._database.transaction(
            lambda connection: connection.exec_driver_sql("UPDATE table_state SET settled_sequence = next_sequence")
        )

    def tally(self) -> Tally:
        """Return the tally of all micro-batches, if their lines are in the total ``hits``."""
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

    def add_lost(self, lines: int) -> None:
        """Count lines as lost that no query will read.

        Raises:
            SinkError: the file cannot be written.
        """
        self._database.transaction(lambda connection: self._records(connection).add(lost=lines))

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines whose text was not kept.

        Raises:
            SinkError: the file cannot be written.
        """
        self._database.transaction(lambda connection: self._records(connection).add(dead_letters_dropped=lines))


def _prepare(connection: sa.Connection) -> None:
    for statement in SCHEMA:
        connection.exec_driver_sql(statement)
    columns = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(table_state)")]
    if "settled_sequence" not in columns:
        # The first tables with records were of sums, which have no use for the column.
        connection.exec_driver_sql("ALTER TABLE table_state ADD COLUMN settled_sequence INTEGER NOT NULL DEFAULT 0")
    connection.exec_driver_sql(
        "INSERT INTO table_state SELECT ?, 0, 0 WHERE NOT EXISTS (SELECT * FROM table_state)", (str(uuid.uuid4()),)
    )
    for name in TOTALS:
        connection.exec_driver_sql("INSERT OR IGNORE INTO totals VALUES (?, 0)", (name,))
