"""The table as a folder of Parquet files, one for each window, named by the window's ends.

::

    window-20150517T100000Z-20150517T110000Z.parquet
        window_start, window_end timestamp[us, UTC]; url string; hits, bytes, errors int64

A batch rewrites the files of the windows that it changed, each replaced whole; windows that are archived in the table
keep their file. Any reader of a Parquet data set takes the folder, and ``window_start`` filters without opening all.

A batch may change hundreds of windows, so their files are not waited for one by one until they are on the disk.
Instead each file carries the sums of its window, and at the start every one is compared with the table: what a kill or
a loss of power left behind is written again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.common.files import replacing
from spark_job.errors import SinkError, sink_errors

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, Sums, Window

INSTANT = pa.timestamp("us", tz="UTC")
_FIELDS: list[pa.Field[pa.DataType]] = [
    pa.field("window_start", INSTANT, nullable=False),
    pa.field("window_end", INSTANT, nullable=False),
    pa.field("url", pa.string(), nullable=False),
    pa.field("hits", pa.int64(), nullable=False),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("errors", pa.int64(), nullable=False),
]
SCHEMA = pa.schema(_FIELDS)
SUMS_KEY = b"headrace.sums"
ALL = -1


class ParquetSink:
    """Keeps ``folder`` equal to the table, and completes it once at the start.

    Raises:
        SinkError: it cannot be written.
    """

    def __init__(self, folder: Path, table: CountsReader) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot be made: {error.strerror}") from error
        for window in table.windows():
            if _sums_in(self._path(window)) != _as_metadata(table.sums(window)):
                self._replace(window, table)

    def write(self, changed: ChangedWindows) -> None:
        """Rewrite the files of the windows that the batch changed."""
        for window in changed.windows:
            self._replace(window, changed.table)

    def close(self) -> None:
        """Do nothing: each batch leaves the folder complete."""

    def _path(self, window: Window) -> Path:
        return self._folder / f"window-{_compact(window.start)}-{_compact(window.end)}.parquet"

    def _replace(self, window: Window, table: CountsReader) -> None:
        counts = table.top(window, ALL)
        columns = {
            "window_start": [window.start] * len(counts),
            "window_end": [window.end] * len(counts),
            **{name: [getattr(count, name) for count in counts] for name in ("url", "hits", "bytes", "errors")},
        }
        schema = SCHEMA.with_metadata({SUMS_KEY: _as_metadata(table.sums(window))})
        with sink_errors(self._path(window)), replacing(self._path(window), durable=False) as file:
            pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")


def _as_metadata(sums: Sums) -> bytes:
    return json.dumps(sums._asdict()).encode()


def _sums_in(path: Path) -> bytes | None:
    """Return the sums that a file carries; None when it is not there, or is not whole."""
    try:
        return (pq.read_schema(path).metadata or {}).get(SUMS_KEY)
    except (OSError, pa.ArrowException):
        return None


def _compact(instant: datetime) -> str:
    """Return an instant without what a file name should not hold, in an order that sorts by time."""
    text = instant.strftime("%Y%m%dT%H%M%S")
    return f"{text}.{instant.microsecond // 1000:03d}Z" if instant.microsecond else f"{text}Z"
