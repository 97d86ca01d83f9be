"""Stores which events each batch holds, so that a recovered stream computes the same results again.

::

    batches.db
      batches   time_ms   batch time, milliseconds since the epoch; identifies the batch in Spark's checkpoint
                starts    {"<log id>": first offset, ...}    written before the batch runs,
                ends      {"<log id>": next offset, ...}     and never changed
                booked    1 if the sum accounts for the batch, else 0
      sum       read, counted, malformed, lost                over all batches accounted for
      meta      query_id, origin                              written once: id, and where the first batch starts
                first_ms                                      the first batch of the running streams

Spark asks for a batch when it is due, again when it computes a result twice, and after a recovery also for batches that
left a window long ago. The answer must be the same each time, or a window would lose or repeat events. So a batch is
planned once and then read from this file: its time alone decides which events it holds.

A row is deleted only when no recovery can ask for its batch any more (:meth:`PlannedBatches.forget_before`).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_job.accounting.tally import Tally
from spark_job.errors import AccountingError, SinkError
from spark_job.source.offsets import ranges_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from spark_job.ranges import LogRange

SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    time_ms INTEGER PRIMARY KEY, starts TEXT NOT NULL, ends TEXT NOT NULL, booked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS sum (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    read INTEGER NOT NULL, counted INTEGER NOT NULL, malformed INTEGER NOT NULL, lost INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT OR IGNORE INTO sum VALUES (1, 0, 0, 0, 0);
"""


@dataclass(frozen=True)
class PlannedBatch:
    """One batch: its time and, by log id, the offsets where it starts and ends; ``accounted``: it is in the sum."""

    time_ms: int
    starts: dict[str, int]
    ends: dict[str, int]
    accounted: bool = False

    @property
    def ranges(self) -> list[LogRange]:
        """The events of the batch, without logs of which it has none."""
        return ranges_between(self.starts, self.ends)


@dataclass(frozen=True)
class BatchAccount:
    """The account of a batch's lines. ``lost`` are gone or damaged events; above zero only if the options allow it."""

    time_ms: int
    read: int
    counted: int
    malformed: int
    lost: int


class PlannedBatches:
    """The file of plans. Any thread may use it; close it in the end.

    Raises:
        SinkError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # FULL: put() must not return before the row is on disk, since the batch runs right after it.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('query_id', ?)", (str(uuid.uuid4()),))
        except sqlite3.Error as error:
            raise SinkError(f"{path}: cannot be opened: {error}") from error

    @property
    def query_id(self) -> str:
        """Id of this job's batches in the ledger of a database: made with the file, never changed."""
        return str(self._one("SELECT value FROM meta WHERE name = 'query_id'")[0])

    def begin(self, origin: dict[str, int]) -> None:
        """Store where the first batch starts, unless that is stored already."""
        self._execute("INSERT OR IGNORE INTO meta VALUES ('origin', ?)", (_text(origin),))

    @property
    def begun(self) -> bool:
        """Whether the start of the first batch is stored."""
        return bool(self._one("SELECT count(*) FROM meta WHERE name = 'origin'")[0])

    def begin_streams(self) -> None:
        """Note that new streams begin: the next planned batch is their first."""
        self._execute("DELETE FROM meta WHERE name = 'first_ms'", ())

    def is_first(self, time_ms: int) -> bool:
        """Say whether a batch is the first of its streams; the answer survives a recovery."""
        first = self._one("SELECT coalesce((SELECT value FROM meta WHERE name = 'first_ms'), '')")[0]
        return bool(first == str(time_ms))

    def get(self, time_ms: int) -> PlannedBatch | None:
        """Return the batch of that time; None if it is not planned yet.

        Raises:
            AccountingError: a later batch was planned, but this one was not, or its plan was deleted.
        """
        rows = self._select("WHERE time_ms = ?", (time_ms,))
        if rows:
            return rows[0]
        newest = self.newest_ms()
        if newest is not None and time_ms < newest:
            raise AccountingError(
                f"{self.path}: Spark asks for batch {time_ms}, which was never planned or is deleted, although "
                f"{newest} was planned; checkpoint and file do not belong together: take a new job folder"
            )
        return None

    def put(self, batch: PlannedBatch) -> None:
        """Store a new batch; it is on disk when this returns."""
        values = (batch.time_ms, _text(batch.starts), _text(batch.ends))
        # First the mark, then the batch: after a kill between the two, Spark asks for this batch again and it is
        # planned.
        self._execute("INSERT OR IGNORE INTO meta VALUES ('first_ms', ?)", (str(batch.time_ms),))
        self._execute("INSERT INTO batches (time_ms, starts, ends) VALUES (?, ?, ?)", values)

    def positions(self) -> dict[str, int]:
        """Return log id to the offset where the next batch starts."""
        row = self._one(
            "SELECT coalesce((SELECT ends FROM batches ORDER BY time_ms DESC LIMIT 1),"
            " (SELECT value FROM meta WHERE name = 'origin'), '{}')"
        )
        return _offsets(row[0])

    def newest_ms(self) -> int | None:
        """Return the time of the newest batch; None before the first."""
        newest = self._one("SELECT max(time_ms) FROM batches")[0]
        return None if newest is None else int(newest)

    def accounted_positions(self) -> dict[str, int]:
        """Return log id to the offset up to which lines are in the sum."""
        row = self._one(
            "SELECT coalesce((SELECT ends FROM batches WHERE booked ORDER BY time_ms DESC LIMIT 1),"
            " (SELECT value FROM meta WHERE name = 'origin'), '{}')"
        )
        return _offsets(row[0])

    def drop_unaccounted(self) -> None:
        """Delete the plans outside the sum, once no checkpoint refers to them; the next plan takes their events."""
        self._execute("DELETE FROM batches WHERE NOT booked", ())

    def unaccounted(self, up_to_ms: int) -> list[PlannedBatch]:
        """Return the batches up to and including that time that are not in the sum yet, oldest first."""
        return self._select("WHERE NOT booked AND time_ms <= ? ORDER BY time_ms", (up_to_ms,))

    def account_for(self, accounts: Iterable[BatchAccount]) -> None:
        """Add batches to the sum in one transaction; a batch that is in the sum already changes nothing."""
        with self._lock, _transaction(self._connection):
            for account in accounts:
                done = self._connection.execute(
                    "UPDATE batches SET booked = 1 WHERE time_ms = ? AND NOT booked", (account.time_ms,)
                )
                if done.rowcount:
                    self._connection.execute(
                        "UPDATE sum SET read = read + ?, counted = counted + ?, malformed = malformed + ?,"
                        " lost = lost + ?",
                        (account.read, account.counted, account.malformed, account.lost),
                    )

    def tally(self) -> Tally:
        """Return the tally of all batches accounted for. No line is late: it belongs to the batch that reads it."""
        read, counted, malformed, lost = self._one("SELECT read, counted, malformed, lost FROM sum")
        return Tally(read=read, lost=lost, malformed=malformed, hits=counted)

    def before(self, time_ms: int) -> dict[str, int] | None:
        """Return where the newest batch before that time ends; None if no such batch is stored."""
        rows = self._select("WHERE time_ms < ? ORDER BY time_ms DESC LIMIT 1", (time_ms,))
        return rows[0].ends if rows else None

    def forget_before(self, time_ms: int) -> None:
        """Delete older batches that are in the sum, but never the newest: it says where the next one starts."""
        self._execute(
            "DELETE FROM batches WHERE time_ms < ? AND booked AND time_ms < (SELECT max(time_ms) FROM batches)",
            (time_ms,),
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _select(self, where: str, values: tuple[int, ...]) -> list[PlannedBatch]:
        with (
            self._lock,
            closing(
                self._connection.execute(f"SELECT time_ms, starts, ends, booked FROM batches {where}", values)  # noqa: S608
            ) as rows,
        ):
            return [
                PlannedBatch(time_ms, _offsets(starts), _offsets(ends), bool(booked))
                for time_ms, starts, ends, booked in rows
            ]

    def _one(self, query: str) -> tuple[Any, ...]:
        with self._lock, closing(self._connection.execute(query)) as rows:
            return tuple(rows.fetchone())

    def _execute(self, statement: str, values: tuple[int | str, ...]) -> None:
        try:
            with self._lock:
                self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise SinkError(f"{self.path}: cannot be written: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _text(offsets: dict[str, int]) -> str:
    return json.dumps(offsets, sort_keys=True)


def _offsets(text: str) -> dict[str, int]:
    return {log_id: int(offset) for log_id, offset in json.loads(text).items()}
