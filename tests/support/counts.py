"""Batches as Spark hands them to the table, made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from spark_job.accounting.ledger import LedgerEntry
from spark_job.ranges import LogRange
from spark_job.sinks.base import ChangedWindows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spark_job.sinks.counts_table.reader import CountsReader
    from spark_job.sinks.counts_table.writer import CountsTable

MINUTE_US = 60_000_000
QUERY = "11111111-2222-3333-4444-555555555555"
LOG = "log-a"
NASTY_URLS = [
    '/"quoted"',
    "/back\\slash",
    "/new\nline",
    "/\x00\x1b[2J",
    "/\u2028\u202e",
    "/世界",
    "",
    "/'; DROP TABLE counts",
]
"""URLs that a format may break on: quotes, line ends, controls, directions, wide characters, nothing, SQL."""

Count = tuple[int, str, int]
"""Minute at which the window starts, URL, hits."""


def rows(*counts: Count, length: int = 1) -> pa.Table:
    """Return rows of windows of ``length`` minutes; each hit has 100 bytes, and URLs with ``missing`` are errors."""
    starts = [minute * MINUTE_US for minute, _, _ in counts]
    instant = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "window_start": pa.array(starts, instant),
            "window_end": pa.array([start + length * MINUTE_US for start in starts], instant),
            "url": pa.array([url for _, url, _ in counts], pa.string()),
            "hits": pa.array([hits for _, _, hits in counts], pa.int64()),
            "bytes": pa.array([hits * 100 for _, _, hits in counts], pa.int64()),
            "errors": pa.array([hits if "missing" in url else 0 for _, url, hits in counts], pa.int64()),
        }
    )


def entry(
    batch_id: int,
    start: int,
    end: int,
    *,
    malformed: int = 0,
    too_old: int = 0,
    missed: int = 0,
    query_id: str = QUERY,
) -> LedgerEntry:
    """Return the ledger entry of a batch that read ``start <= offset < end`` of one log."""
    return LedgerEntry(
        query_id=query_id,
        batch_id=batch_id,
        ranges=(LogRange(LOG, start, end),) if start != end else (),
        lost=0,
        malformed=malformed,
        late=0,
        missed=missed,
        late_before_ms=0,
        closed_before_ms=0,
        too_old=too_old,
    )


def store(table: CountsTable, batch: LedgerEntry, counts: Iterable[Count] = (), *, length: int = 1) -> ChangedWindows:
    """Store a batch and return it as the sinks get it."""
    windows = table.record(batch, rows(*counts, length=length))
    return ChangedWindows(batch, windows, table.tally(), table)


def content(table: CountsReader) -> dict[tuple[int, str], int]:
    """Return the hits of a table by (minute of the window's start, URL)."""
    return {(window.start_us // MINUTE_US, count.url): count.hits for window, count in table.rows()}
