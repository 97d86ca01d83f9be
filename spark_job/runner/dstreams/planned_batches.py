"""Which events each batch holds, kept on disk: the file that makes a recovered stream compute the same again.

::

    batches.db
      batches   time_ms   batch time, milliseconds since the epoch; what Spark's checkpoint knows a batch by
                starts    {"<log id>": first offset, ...}    written before the batch runs,
                ends      {"<log id>": next offset, ...}     and never changed
                booked    0, or 1 when the batch is in the sum
      sum       read, counted, malformed, lost                over all booked batches
      meta      query_id, origin                              made once; where the first batch starts
                first_ms                                      the first batch of the streams that run

Spark asks for a batch whenever it needs one: on time, again when a result is computed twice, and after a recovery also
for batches that fell out of a window long ago. A batch that was planned once is answered from here. So what a batch
holds depends on its time alone.

A row is deleted only when nothing can ask for its batch any more (:meth:`Batches.forget_before`).
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
class Batch:
    """One batch: its time and, by log id, the offsets at which it starts and ends."""

    time_ms: int
    starts: dict[str, int]
    ends: dict[str, int]
    booked: bool = False

    @property
    def ranges(self) -> list[LogRange]:
        """The events of the batch; a log of which it has none is left out."""
        return ranges_between(self.starts, self.ends)


@dataclass(frozen=True)
class Booking:
    """What became of the lines of a batch. ``lost`` are gone or damaged events; above zero only where allowed."""

    time_ms: int
    read: int
    counted: int
    malformed: int
    lost: int


class Batches:
    """The file. May be used from any thread; close it in the end.

    Raises:
        SinkError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A batch must not run before its row is on disk.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('query_id', ?)", (str(uuid.uuid4()),))
        except sqlite3.Error as error:
            raise SinkError(f"{path}: cannot be opened: {error}") from error

    @property
    def query_id(self) -> str:
        """Name of this job's results in a database: made with the file, never changed."""
        return str(self._one("SELECT value FROM meta WHERE name = 'query_id'")[0])

    def begin(self, origin: dict[str, int]) -> None:
        """Note where the first batch starts; without effect when that is known."""
        self._execute("INSERT OR IGNORE INTO meta VALUES ('origin', ?)", (_text(origin),))

    @property
    def begun(self) -> bool:
        """Whether it is known where the first batch starts."""
        return bool(self._one("SELECT count(*) FROM meta WHERE name = 'origin'")[0])

    def begin_streams(self) -> None:
        """Note that new streams are set up: the next batch to be planned is their first."""
        self._execute("DELETE FROM meta WHERE name = 'first_ms'", ())

    def is_first(self, time_ms: int) -> bool:
        """Say whether a batch is the first of its streams; the same after every recovery."""
        first = self._one("SELECT coalesce((SELECT value FROM meta WHERE name = 'first_ms'), '')")[0]
        return bool(first == str(time_ms))

    def get(self, time_ms: int) -> Batch | None:
        """Return the batch of that time; None if it has not been planned yet.

        Raises:
            AccountingError: it is older than what is kept, or than a batch that was planned.
        """
        rows = self._select("WHERE time_ms = ?", (time_ms,))
        if rows:
            return rows[0]
        newest = self.newest_ms()
        if newest is not None and time_ms < newest:
            raise AccountingError(
                f"{self.path}: batch {time_ms} is asked for, which was never planned or is no longer kept, though "
                f"{newest} was planned; checkpoint and file do not belong together: take a new job folder"
            )
        return None

    def put(self, batch: Batch) -> None:
        """Keep a new batch; on disk when this returns."""
        values = (batch.time_ms, _text(batch.starts), _text(batch.ends))
        self._execute("INSERT OR IGNORE INTO meta VALUES ('first_ms', ?)", (str(batch.time_ms),))
        self._execute("INSERT INTO batches (time_ms, starts, ends) VALUES (?, ?, ?)", values)

    def positions(self) -> dict[str, int]:
        """Return where the next batch starts: log id to offset."""
        row = self._one(
            "SELECT coalesce((SELECT ends FROM batches ORDER BY time_ms DESC LIMIT 1),"
            " (SELECT value FROM meta WHERE name = 'origin'), '{}')"
        )
        return _offsets(row[0])

    def newest_ms(self) -> int | None:
        """Return the time of the newest batch; None if there is none."""
        newest = self._one("SELECT max(time_ms) FROM batches")[0]
        return None if newest is None else int(newest)

    def booked_positions(self) -> dict[str, int]:
        """Return the offsets up to which lines are in the sum."""
        row = self._one(
            "SELECT coalesce((SELECT ends FROM batches WHERE booked ORDER BY time_ms DESC LIMIT 1),"
            " (SELECT value FROM meta WHERE name = 'origin'), '{}')"
        )
        return _offsets(row[0])

    def void_unbooked(self) -> None:
        """Drop the plans that no checkpoint knows of, so that their events come in the batches to be planned next."""
        self._execute("DELETE FROM batches WHERE NOT booked", ())

    def unbooked(self, up_to_ms: int) -> list[Batch]:
        """Return the batches up to and with that time that are not in the sum yet, oldest first."""
        return self._select("WHERE NOT booked AND time_ms <= ? ORDER BY time_ms", (up_to_ms,))

    def book(self, bookings: Iterable[Booking]) -> None:
        """Add batches to the sum, each once, all or none of them."""
        with self._lock, _transaction(self._connection):
            for booking in bookings:
                done = self._connection.execute(
                    "UPDATE batches SET booked = 1 WHERE time_ms = ? AND NOT booked", (booking.time_ms,)
                )
                if done.rowcount:
                    self._connection.execute(
                        "UPDATE sum SET read = read + ?, counted = counted + ?, malformed = malformed + ?,"
                        " lost = lost + ?",
                        (booking.read, booking.counted, booking.malformed, booking.lost),
                    )

    def tally(self) -> Tally:
        """Return the sum over all booked batches. No line of a DStream is late: a batch is of the time it is read."""
        read, counted, malformed, lost = self._one("SELECT read, counted, malformed, lost FROM sum")
        return Tally(read=read, lost=lost, malformed=malformed, hits=counted)

    def before(self, time_ms: int) -> dict[str, int] | None:
        """Return where the newest batch before that time ends; None if none is kept."""
        rows = self._select("WHERE time_ms < ? ORDER BY time_ms DESC LIMIT 1", (time_ms,))
        return rows[0].ends if rows else None

    def forget_before(self, time_ms: int) -> None:
        """Delete older batches, those aside that are not in the sum; the newest one stays in any case."""
        self._execute(
            "DELETE FROM batches WHERE time_ms < ? AND booked AND time_ms < (SELECT max(time_ms) FROM batches)",
            (time_ms,),
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _select(self, where: str, values: tuple[int, ...]) -> list[Batch]:
        with (
            self._lock,
            closing(
                self._connection.execute(f"SELECT time_ms, starts, ends, booked FROM batches {where}", values)  # noqa: S608
            ) as rows,
        ):
            return [Batch(time, _offsets(starts), _offsets(ends), bool(booked)) for time, starts, ends, booked in rows]

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
