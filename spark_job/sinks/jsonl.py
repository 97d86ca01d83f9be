"""Writes the results table as one file of JSON lines, replaced whole (:mod:`.snapshot_file`).

Each line is one window and URL (here broken for the page)::

    {"window_start": "2015-05-17T10:00:00Z", "window_end": "2015-05-17T11:00:00Z",
     "url": "/", "hits": 12, "bytes": 9044, "errors": 0}

Windows are in order of time, the URLs of a window in order of hits, most first. The lines are pure ASCII: what an
attacker wrote into a URL cannot reach the terminal of whoever looks at the file.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from functools import lru_cache
from typing import TYPE_CHECKING

from headrace.common.text import iso_utc
from spark_job.sinks.counts_table.reader import CountsReader
from spark_job.sinks.snapshot_file import SnapshotFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import UrlCount, Window


class JsonLinesSink:
    """Keeps ``path`` equal to the table, and writes it once at the start.

    Raises:
        SinkError: it cannot be written.
    """

    def __init__(self, path: Path, table: CountsReader, clock: Callable[[], float] = time.monotonic) -> None:
        # The table's own connection may be in a transaction of another thread, and would show what is not committed.
        self._reader = CountsReader(table.path)
        self._file = SnapshotFile(path, lambda: (json_line(*row) for row in self._reader.rows()), clock)
        try:
            self._file.write()
        except BaseException:
            self._reader.close()
            raise

    def write(self, changed: ChangedWindows) -> None:
        """Note whether the batch has changed a window; a snapshot in here would slow batches down."""
        if changed.windows:
            self._file.mark_changed()

    def write_if_due(self) -> None:
        """Write a snapshot if the table has changed and the pause after the last one is over."""
        self._file.write_if_due()

    def close(self) -> None:
        """Write a snapshot that was put off."""
        with closing(self._reader):
            self._file.close()


def json_line(window: Window, count: UrlCount) -> str:
    """Return one row as a line of JSON, with its line feed."""
    return json.dumps({**_ends(window), **count._asdict()}) + "\n"


@lru_cache(maxsize=1)
def _ends(window: Window) -> dict[str, str]:
    """Return the first fields of a window's lines. One entry is enough: the lines of a window follow one another."""
    return {"window_start": iso_utc(window.start), "window_end": iso_utc(window.end)}
