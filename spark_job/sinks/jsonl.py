"""The table as one file of JSON lines, a snapshot that is replaced whole.

Each line is one window and URL (here broken for the page)::

    {"window_start": "2015-05-17T10:00:00Z", "window_end": "2015-05-17T11:00:00Z",
     "url": "/", "hits": 12, "bytes": 9044, "errors": 0}

Windows come oldest first, in each the URLs with the most hits first. The lines are pure ASCII: what an attacker wrote
into a URL cannot reach the terminal of whoever looks at the file.

A snapshot costs time in proportion to the table, not to the batch. So that a large table does not slow the counting
down, a snapshot is put off until nine times as long has passed as the last one took: at most a tenth of the time goes
into it. ``close`` writes what was put off.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from headrace.common.files import replacing
from spark_job.errors import sink_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, UrlCount, Window

REST_PER_WORK = 9


class JsonLinesSink:
    """Keeps ``path`` equal to the table, and writes it once at the start.

    Raises:
        SinkError: it cannot be written.
    """

    def __init__(self, path: Path, table: CountsReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._table = table
        self._clock = clock
        self._stale = True
        self._next_s = 0.0
        self._snapshot()

    def write(self, changed: ChangedWindows) -> None:
        """Write the snapshot, unless the batch changed nothing or the last one was too short a time ago."""
        self._stale = self._stale or bool(changed.windows)
        if self._stale and self._clock() >= self._next_s:
            self._snapshot()

    def close(self) -> None:
        """Write a snapshot that was put off."""
        if self._stale:
            self._snapshot()

    def _snapshot(self) -> None:
        began_s = self._clock()
        with sink_errors(self._path), replacing(self._path) as file:
            for window, count in self._table.rows():
                file.write(json_line(window, count).encode())
        ended_s = self._clock()
        self._stale = False
        self._next_s = ended_s + REST_PER_WORK * (ended_s - began_s)


def json_line(window: Window, count: UrlCount) -> str:
    """Return one row as a line, with its end."""
    return json.dumps({**_ends(window), **count._asdict()}) + "\n"


@lru_cache(maxsize=1)
def _ends(window: Window) -> dict[str, str]:
    """Return what all lines of a window begin with; the lines of a window come one after the other."""
    return {"window_start": iso_utc(window.start), "window_end": iso_utc(window.end)}


def iso_utc(instant: datetime) -> str:
    """Return an instant in UTC as ISO 8601 with a ``Z``, without a fraction where it is zero."""
    return instant.replace(tzinfo=None).isoformat() + "Z"
