"""A file of lines that mirrors a table: a snapshot that is replaced whole.

A snapshot costs time in proportion to the table, not to the batch. So a batch only marks the file as changed, and
another thread writes it::

    Spark's thread     mark_changed    mark_changed         mark_changed
    another thread         [--- snapshot ---]    pause    [--- snapshot ---]    pause
                                            the file lacks the second change until here

The pause is nine times as long as the last snapshot took, but at most 10 s (:mod:`.throttle`). ``close`` writes a
snapshot that is still missing.
"""

from __future__ import annotations

import time
from threading import Event, Lock
from typing import TYPE_CHECKING

from headrace.common.files import replacing
from spark_job.errors import sink_errors
from spark_job.sinks.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class SnapshotFile:
    """Keeps a file equal to the lines of a table. Any thread may use it.

    Args:
        path: the file.
        lines: reads one consistent state of the table; each line with its end. One thread at a time calls it, and not
            always the one that changes the table, so it needs a connection that no writer uses.
        clock: monotonic seconds.
    """

    def __init__(
        self, path: Path, lines: Callable[[], Iterable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._lines = lines
        self._throttle = Throttle(clock)
        self._writing = Lock()
        self._changed = Event()
        # What an earlier process left in the file is unknown.
        self._changed.set()

    def mark_changed(self) -> None:
        """Note that the table has changed since the newest snapshot; never waits for a snapshot."""
        self._changed.set()

    def write_if_due(self) -> None:
        """Write a snapshot if the table has changed and the pause is over; return at once if one is being written.

        Raises:
            SinkError: it cannot be written.
        """
        if not self._writing.acquire(blocking=False):
            return
        try:
            if self._changed.is_set() and self._throttle.is_due():
                self._write()
        finally:
            self._writing.release()

    def write(self) -> None:
        """Write a snapshot now.

        Raises:
            SinkError: it cannot be written.
        """
        with self._writing:
            self._write()

    def close(self) -> None:
        """Write a snapshot if the table has changed since the newest one.

        Raises:
            SinkError: it cannot be written.
        """
        with self._writing:
            if self._changed.is_set():
                self._write()

    def _write(self) -> None:
        # Cleared before the table is read: a change that is marked later may be missing in the snapshot.
        self._changed.clear()
        try:
            with self._throttle.working(), sink_errors(self._path), replacing(self._path) as file:
                for line in self._lines():
                    file.write(line.encode())
        except BaseException:
            self._changed.set()
            raise
