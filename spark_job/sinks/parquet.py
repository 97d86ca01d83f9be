"""Writes the results table as a folder of Parquet files, one per window, named by the window's start and end.

::

    window-20150517T100000Z-20150517T110000Z.parquet
        window_start, window_end timestamp[us, UTC]; url string; hits, bytes, errors int64

A micro-batch rewrites the files of the windows that it changed, each replaced whole; a window that retention removes
from the table keeps its file. Any reader of Parquet data sets can read the folder, and filtering by ``window_start``
skips files.

A micro-batch may change hundreds of windows, so the sink does not wait for the disk after each file. Instead each file
carries the sums of its window, and every start compares them with the table: a file that a kill or a power cut left
incomplete is written again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.common.files import replacing
from spark_job.errors import SinkError, sink_errors
from spark_job.sinks.counts_table.schema import ARROW_SCHEMA

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, Sums, Window

SUMS_KEY = b"headrace.sums"
ALL_URLS = -1


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
        """Rewrite the files of the windows that the micro-batch changed."""
        for window in changed.windows:
            self._replace(window, changed.table)

    def write_if_due(self) -> None:
        """Do nothing: each batch leaves the folder complete."""

    def close(self) -> None:
        """Do nothing: each micro-batch leaves the folder complete."""

    def _path(self, window: Window) -> Path:
        return self._folder / f"window-{_compact(window.start)}-{_compact(window.end)}.parquet"

    def _replace(self, window: Window, table: CountsReader) -> None:
        counts = table.top(window, ALL_URLS)
        columns = {
            "window_start": [window.start] * len(counts),
            "window_end": [window.end] * len(counts),
            **{name: [getattr(count, name) for count in counts] for name in ("url", "hits", "bytes", "errors")},
        }
        schema = ARROW_SCHEMA.with_metadata({SUMS_KEY: _as_metadata(table.sums(window))})
        # Not durable: the comparison at the start finds what the disk did not keep.
        with sink_errors(self._path(window)), replacing(self._path(window), durable=False) as file:
            pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")


def _as_metadata(sums: Sums) -> bytes:
    return json.dumps(sums._asdict()).encode()


def _sums_in(path: Path) -> bytes | None:
    """Return the sums that a file carries; None if it is missing or incomplete."""
    try:
        return (pq.read_schema(path).metadata or {}).get(SUMS_KEY)
    except (OSError, pa.ArrowException):
        return None


def _compact(instant: datetime) -> str:
    """Return an instant for a file name, without colons, so that names sort by time."""
    text = instant.strftime("%Y%m%dT%H%M%S")
    return f"{text}.{instant.microsecond // 1000:03d}Z" if instant.microsecond else f"{text}Z"
