"""A file of lines that mirrors a table: a snapshot that is replaced whole.

A snapshot costs time in proportion to the table, not to the micro-batch. So that a large table does not slow the
counting down, a snapshot is put off until nine times as long has passed as the last one took (:mod:`.throttle`).
``close`` writes what was put off.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from headrace.common.files import replacing
from spark_job.errors import sink_errors
from spark_job.sinks.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class SnapshotFile:
    """Keeps a file equal to the lines of a table.

    Args:
        path: the file.
        lines: reads the table; each line with its end.
        clock: monotonic seconds.
    """

    def __init__(
        self, path: Path, lines: Callable[[], Iterable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._lines = lines
        self._throttle = Throttle(clock)
        # What an earlier process left in the file is unknown.
        self._stale = True

    def mark_changed(self) -> None:
        """Note that the table has changed since the newest snapshot."""
        self._stale = True

    def write_if_due(self) -> None:
        """Write a snapshot if the table has changed and the last snapshot is long enough ago.

        Raises:
            SinkError: it cannot be written.
        """
        if self._stale and self._throttle.is_due():
            self.write()

    def write(self) -> None:
        """Write a snapshot now.

        Raises:
            SinkError: it cannot be written.
        """
        with self._throttle.working(), sink_errors(self._path), replacing(self._path) as file:
            for line in self._lines():
                file.write(line.encode())
        self._stale = False

    def close(self) -> None:
        """Write a snapshot that was put off.

        Raises:
            SinkError: it cannot be written.
        """
        if self._stale:
            self.write()
