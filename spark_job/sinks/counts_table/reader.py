"""Reads the results table, for sinks, for the status of the pipeline and for tests.

A reader may open the file of a running job: in WAL mode it sees the complete state after some micro-batch.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from headrace.common.durations import MICROSECOND
from headrace.common.text import EPOCH
from spark_job.accounting.batch_records import BatchRecords
from spark_job.accounting.tally import Tally
from spark_job.errors import AccountingError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

BUSY_TIMEOUT_S = 30.0
TERMS = ("read", "lost", "malformed", "too_old", "missed")
"""What each micro-batch adds to the sum of all lines, besides its hits."""


class Window(NamedTuple):
    """Start and end of a window, in microseconds since the epoch; sorts by time."""

    start_us: int
    end_us: int

    @property
    def start(self) -> datetime:
        """The first instant of the window, in UTC."""
        return EPOCH + self.start_us * MICROSECOND

    @property
    def end(self) -> datetime:
        """The instant after the last one, in UTC."""
        return EPOCH + self.end_us * MICROSECOND


class Sums(NamedTuple):
    """The sums of a window over all its URLs."""

    urls: int
    hits: int
    bytes: int
    errors: int


class UrlCount(NamedTuple):
    """The counts of one URL in one window."""

    url: str
    hits: int
    bytes: int
    errors: int


class CountsReader:
    """Reads a results table. One thread at a time may use it; close it, or use it as a context manager.

    Args:
        path: the file.

    Attributes:
        records: which micro-batches it holds.

    Raises:
        SinkError: it does not exist, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = self._connect("ro")
        self.records = self._records()

    def _records(self) -> BatchRecords:
        return BatchRecords(self.path, self._db.execute, TERMS)

    def _connect(self, mode: str) -> sqlite3.Connection:
        with self._errors():
            # The main thread opens and closes the table, Spark's callback thread uses it in between: never both.
            return sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                check_same_thread=False,
                isolation_level=None,
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"{self.path}: the results table cannot be used: {error}") from error

    def table_id(self) -> str:
        """Return the id of this table, which names it in the ledgers of databases."""
        return self.records.table_id()

    def next_sequence(self) -> int:
        """Return the number that the next micro-batch gets: how many were ever stored."""
        return self.records.next_sequence()

    def closed_before_us(self) -> int | None:
        """Return the instant before which all windows are closed, in microseconds since the epoch; None: no window is.

        A window is closed if it ends at this instant or before.
        """
        instant: int | None = self.records.state("closed_before")
        return instant

    def positions(self) -> dict[str, int]:
        """Return log id to the offset up to which the log is counted."""
        return self.records.positions()

    def tally(self) -> Tally:
        """Return the tally of all micro-batches stored so far."""
        with self._errors():
            return Tally(
                **{name: self.total(name) for name in (*TERMS, "hits")},
                # Only a version before, which had a watermark, has found late lines.
                late=self.total("late") or None,
                windows_per_line=int(self.records.state("windows_per_line")),
            )

    def total(self, name: str) -> int:
        """Return one of the sums over all micro-batches and windows; the schema names them."""
        return self.records.total(name)

    def sums(self, window: Window) -> Sums:
        """Return the sums of a window; zeros for a window that the table does not have, or no longer."""
        with self._errors():
            row = self._db.execute(
                "SELECT urls, hits, bytes, errors FROM windows WHERE window_start = ? AND window_end = ?", window
            ).fetchone()
        return Sums(*row) if row else Sums(0, 0, 0, 0)

    def top(self, window: Window, limit: int) -> list[UrlCount]:
        """Return the URLs of a window with the most hits, ties ordered by URL. A limit below zero returns all."""
        with self._errors():
            return [
                UrlCount(*row)
                for row in self._db.execute(
                    "SELECT url, hits, bytes, errors FROM counts WHERE window_start = ? AND window_end = ?"
                    " ORDER BY hits DESC, url LIMIT ?",
                    (*window, limit),
                )
            ]

    def windows(self) -> list[Window]:
        """Return the windows in the table, oldest first."""
        with self._errors():
            keys = self._db.execute("SELECT window_start, window_end FROM windows ORDER BY window_start, window_end")
            return [Window(*key) for key in keys]

    def rows(self) -> Iterator[tuple[Window, UrlCount]]:
        """Yield all rows, ordered by window, then by hits, most first."""
        with self._errors():
            for start_us, end_us, *count in self._db.execute(
                "SELECT window_start, window_end, url, hits, bytes, errors FROM counts"
                " ORDER BY window_start, window_end, hits DESC, url"
            ):
                yield Window(start_us, end_us), UrlCount(*count)

    def verify(self) -> None:
        """Add up the whole table and compare the result with the totals, which each micro-batch updated by differences.

        Raises:
            AccountingError: they differ.
        """
        with self._errors():
            found = self._db.execute("SELECT count(*), ifnull(sum(hits), 0) FROM counts").fetchone()
        kept = (self.total("rows"), self.total("hits") - self.total("archived_hits"))
        if found != kept:
            raise AccountingError(
                f"{self.path}: (rows, hits) add up to {found}, but the totals say {kept}; "
                "the file was changed from outside: take a new job folder and consumer name to count again"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
