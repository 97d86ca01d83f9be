"""Stores which events each batch holds, so that a recovered stream computes the same results again.

::

    batches.db
      batches   time_ms   batch time, milliseconds since the epoch; identifies the batch in Spark's checkpoint
                starts    {"<log id>": first offset, ...}    written before the batch runs,
                ends      {"<log id>": next offset, ...}     and never changed
      meta      table_id  id of the results table in counts.db, which says how far results are stored
                origin    where the first batch starts; written once
                first_ms  the first batch of the running streams

Spark asks for a batch when it is due, again when it computes a result twice, and after a recovery also for batches that
left a window long ago. The answer must be the same each time, or a window would lose or repeat events. So a batch is
planned once and then read from this file: its time alone decides which events it holds.

A row is deleted only when no recovery can ask for its batch any more (:meth:`BatchPlans.forget_before`).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_job.errors import AccountingError, JobFolderError, SinkError
from spark_job.source.offsets import ranges_between

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.ranges import LogRange

SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (time_ms INTEGER PRIMARY KEY, starts TEXT NOT NULL, ends TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class BatchPlan:
    """What one batch holds: its time and, by log id, the offsets where it starts and ends."""

    time_ms: int
    starts: dict[str, int]
    ends: dict[str, int]

    @property
    def ranges(self) -> list[LogRange]:
        """The events of the batch, without logs of which it has none."""
        return ranges_between(self.starts, self.ends)


class BatchPlans:
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
        except sqlite3.Error as error:
            raise SinkError(f"{path}: cannot be opened: {error}") from error

    def check_table(self, table_id: str) -> None:
        """Remember the results table of these batches, or compare it with the remembered one.

        Raises:
            JobFolderError: it is another table, so it does not say how far these batches are stored.
        """
        self._execute("INSERT OR IGNORE INTO meta VALUES ('table_id', ?)", (table_id,))
        if self._one("SELECT value FROM meta WHERE name = 'table_id'")[0] != table_id:
            raise JobFolderError(
                f"{self.path} belongs to another results table than the one beside it: was counts.db lost or replaced? "
                "Put it back, or take a new job folder and consumer name to count again what the bridges keep"
            )

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

    def get(self, time_ms: int) -> BatchPlan | None:
        """Return the batch of that time; None if it is not planned yet.

        Raises:
            AccountingError: a later batch was planned, but this one was not, or its plan was deleted.
        """
        plans = self._select("WHERE time_ms = ?", (time_ms,))
        if plans:
            return plans[0]
        newest = self.newest_ms()
        if newest is not None and time_ms < newest:
            raise AccountingError(
                f"{self.path}: Spark asks for batch {time_ms}, which was never planned or is deleted, although "
                f"{newest} was planned; checkpoint and file do not belong together: take a new job folder"
            )
        return None

    def put(self, plan: BatchPlan) -> None:
        """Store a new batch; it is on disk when this returns."""
        # First the mark, then the batch: after a kill between the two, Spark asks for this batch again and it is
        # planned.
        self._execute("INSERT OR IGNORE INTO meta VALUES ('first_ms', ?)", (str(plan.time_ms),))
        self._execute(
            "INSERT INTO batches (time_ms, starts, ends) VALUES (?, ?, ?)",
            (plan.time_ms, _text(plan.starts), _text(plan.ends)),
        )

    def positions(self, up_to_ms: int | None = None) -> dict[str, int]:
        """Return log id to the offset where the newest batch ends, or the newest one up to and including a time."""
        plans = self._select(
            "WHERE time_ms <= coalesce(?, time_ms) ORDER BY time_ms DESC LIMIT 1",
            (up_to_ms,),
        )
        if plans:
            return plans[0].ends
        return _offsets(self._one("SELECT coalesce((SELECT value FROM meta WHERE name = 'origin'), '{}')")[0])

    def newest_ms(self) -> int | None:
        """Return the time of the newest batch; None before the first."""
        newest = self._one("SELECT max(time_ms) FROM batches")[0]
        return None if newest is None else int(newest)

    def between(self, after_ms: int, up_to_ms: int) -> list[BatchPlan]:
        """Return the batches after one time and up to and including another, oldest first."""
        return self._select("WHERE time_ms > ? AND time_ms <= ? ORDER BY time_ms", (after_ms, up_to_ms))

    def before(self, time_ms: int) -> dict[str, int] | None:
        """Return where the newest batch before that time ends; None if no such batch is stored."""
        plans = self._select("WHERE time_ms < ? ORDER BY time_ms DESC LIMIT 1", (time_ms,))
        return plans[0].ends if plans else None

    def drop_after(self, time_ms: int) -> None:
        """Delete the later batches, once no checkpoint refers to them; the next plan takes their events."""
        self._execute("DELETE FROM batches WHERE time_ms > ?", (time_ms,))

    def forget_before(self, time_ms: int) -> None:
        """Delete older batches. The newest stored one must stay: it says how far results are stored."""
        self._execute("DELETE FROM batches WHERE time_ms < ?", (time_ms,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _select(self, where: str, values: tuple[int | None, ...]) -> list[BatchPlan]:
        with (
            self._lock,
            closing(self._connection.execute(f"SELECT time_ms, starts, ends FROM batches {where}", values)) as rows,  # noqa: S608
        ):
            return [BatchPlan(time_ms, _offsets(starts), _offsets(ends)) for time_ms, starts, ends in rows]

    def _one(self, query: str) -> tuple[Any, ...]:
        with self._lock, closing(self._connection.execute(query)) as rows:
            return tuple(rows.fetchone())

    def _execute(self, statement: str, values: tuple[int | str, ...]) -> None:
        try:
            with self._lock:
                self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise SinkError(f"{self.path}: cannot be written: {error}") from error


def _text(offsets: dict[str, int]) -> str:
    return json.dumps(offsets, sort_keys=True)


def _offsets(text: str) -> dict[str, int]:
    return {log_id: int(offset) for log_id, offset in json.loads(text).items()}
