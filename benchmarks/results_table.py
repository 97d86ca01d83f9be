"""The results table as it grows: time and memory of a micro-batch while ten times as many rows come.

Each micro-batch adds 20,000 sums, half of them to rows that are there, half new, spread over all windows: what a log
with ever more URLs and windows does. Spark keeps nothing of it, so this is all that can grow.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa

from spark_job.accounting.ledger import LedgerEntry
from spark_job.ranges import LogRange
from spark_job.sinks.counts_table.schema import ARROW_SCHEMA
from spark_job.sinks.counts_table.writer import CountsTable

if TYPE_CHECKING:
    from benchmarks.scale import Scale

HOUR_US = 3_600_000_000
ROWS_A_BATCH = 20_000
WINDOWS = 1_000
FEW_BATCHES = 5


def run(scale: Scale, _corpus: Path | None) -> None:
    """Fill a table up to five times ``scale.events`` rows; compare the first tenth with the end."""
    rows = 5 * scale.events
    a_batch = min(ROWS_A_BATCH, rows // 50)
    dice = random.Random(1)  # noqa: S311 -- rows, not secrets
    print(f"results table: micro-batches of {a_batch:,} sums into a table of up to {rows:,} rows")
    with tempfile.TemporaryDirectory() as folder, CountsTable(Path(folder) / "counts.db") as table:
        process, took_s, known, number = psutil.Process(), [], 0, 0
        figures = {}
        while known < rows:
            batch = _sums(dice, known, a_batch)
            began_s = time.perf_counter()
            read = (LogRange("log", number * a_batch, (number + 1) * a_batch),)
            table.record(LedgerEntry("benchmark", number, read, 0, 0, 0, 0, 0, 0), batch)
            took_s.append(time.perf_counter() - began_s)
            number += 1
            known = table.total("rows")
            for tenths in (1, 10):
                if tenths not in figures and known >= rows * tenths // 10:
                    figures[tenths] = (statistics.median(took_s[-FEW_BATCHES:]), process.memory_info().rss / 2**20)
        (first_s, first_mib), (last_s, last_mib) = figures[1], figures[10]
        print(f"    at a tenth of the rows   {first_s * 1000:8.0f} ms a batch   {first_mib:6.0f} MiB in the process")
        print(f"    at all rows              {last_s * 1000:8.0f} ms a batch   {last_mib:6.0f} MiB in the process")
        print(f"    all / a tenth         x {last_s / first_s:8.1f}              x {last_mib / first_mib:6.1f}")


def _sums(dice: random.Random, known: int, number: int) -> pa.Table:
    """Return sums of which half are of URLs that the table has."""
    urls = [dice.randrange(known + 1) for _ in range(number // 2)] + list(range(known, known + number // 2))
    urls = sorted(set(urls))
    starts = [url % WINDOWS * HOUR_US for url in urls]
    ones = [1] * len(urls)
    columns = {
        "window_start": pa.array(starts, pa.int64()),
        "window_end": pa.array([start + HOUR_US for start in starts], pa.int64()),
        "url": [f"/shop/item/{url:012x}" for url in urls],
        **dict.fromkeys(("hits", "bytes", "errors"), ones),
    }
    return pa.table(columns).cast(ARROW_SCHEMA)
