"""Writes the results table: a SQLite file whose counts are exact whatever is killed, and whenever.

Each micro-batch is one transaction: its counts, its ledger entry, the offsets that it reached and the new totals. Spark
passes absolute values per (window, URL), so writing a micro-batch twice would not harm the counts. It would harm the
totals, so a micro-batch whose number is stored already changes nothing.

==============================  ======================================================================================
killed                          and on the next start
==============================  ======================================================================================
before the transaction ended    SQLite undoes it; Spark runs the micro-batch again; it is stored
after it, before Spark's own    Spark runs the micro-batch again; its number is stored: its ledger entry is compared,
commit                          nothing is written, and the sinks catch up with the table
==============================  ======================================================================================

A window is *closed* once it ended before the watermark of an earlier micro-batch. Nothing changes it any more, so it
may be archived: its rows are deleted, its sums stay in ``totals``. The file is in WAL mode, so that others can read it
at the same time, with synchronous=FULL, so that a commit waits for the disk.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.common.durations import MICROSECOND
from spark_job.accounting.ledger import US_PER_MS, LedgerEntry
from spark_job.errors import AccountingError, JobFolderError
from spark_job.sinks.counts_table.reader import CountsReader, Sums, Window
from spark_job.sinks.counts_table.schema import SCHEMA_VERSION, SQL_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

# Far more than Spark can run again: it keeps the plans of ten (runner/session.py).
KEPT_BATCHES = 1_000


@dataclass(frozen=True)
class Retention:
    """Which closed windows are kept: up to an age, up to a number of rows. None: no limit of that kind."""

    age: timedelta | None = None
    max_rows: int | None = None


class CountsTable(CountsReader):
    """The results table of one query. One thread at a time may use it.

    Args:
        path: the file; created if it is missing.
        windows_per_line: how many windows each line is in: hits divided by it are lines.
        retention: which closed windows are kept.

    Raises:
        SinkError: the file cannot be opened, or is something else.
        JobFolderError: another version of Headrace made it.
    """

    def __init__(self, path: Path, windows_per_line: int = 1, retention: Retention | None = None) -> None:
        self.path = path
        self._new_windows_per_line = windows_per_line
        self._retention = retention or Retention()
        self._db = self._connect("rwc")
        try:
            with self._errors():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA temp_store = MEMORY")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {SQL_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            age = "a newer" if version > SCHEMA_VERSION else "an older"
            raise JobFolderError(
                f"{self.path} was made by {age} headrace (format {version}, this one knows {SCHEMA_VERSION}): use that "
                "version, or take a new job folder and, to count again what the bridges keep, another consumer name"
            )
        self._db.execute(
            "CREATE TEMP TABLE staged (window_start INTEGER, window_end INTEGER, url TEXT, hits INTEGER, bytes INTEGER,"
            " errors INTEGER, PRIMARY KEY (window_start, window_end, url)) WITHOUT ROWID"
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def record(self, entry: LedgerEntry, rows: pa.Table) -> list[Window]:
        """Store a micro-batch, unless it is stored already; return the windows of its rows, newest first.

        Args:
            entry: the micro-batch's ledger entry.
            rows: window_start, window_end, url, hits, bytes, errors; absolute values.

        Raises:
            AccountingError: the micro-batch does not follow the ones in the table, or differs from its first run.
            SinkError: the file cannot be written; nothing of the micro-batch is stored.
        """
        with self._transaction():
            if not self._is_stored(entry):
                self._stage(rows)
                self._merge_staged()
                self._record_entry(entry)
                # By the older watermark: windows that only this micro-batch's watermark closes must stay until the
                # sinks have copied them.
                self._archive(entry.late_before_ms * US_PER_MS)
        return _windows_of(rows)

    def _is_stored(self, entry: LedgerEntry) -> bool:
        owner = self.owner()
        if owner is None:
            self._db.execute("INSERT INTO owner VALUES (?, ?)", (entry.query_id, self._new_windows_per_line))
        elif owner != entry.query_id:
            raise AccountingError(f"{self.path} belongs to query {owner}, not to {entry.query_id}")
        stored = self._db.execute(
            "SELECT read, lost, malformed, late, missed, late_before_ms FROM batches WHERE batch_id = ?",
            (entry.batch_id,),
        ).fetchone()
        newest = self.newest_batch()
        if stored is None and entry.batch_id != (0 if newest is None else newest + 1):
            raise AccountingError(
                f"{self.path}: micro-batch {entry.batch_id} does not follow {newest}, the newest one here"
            )
        again = (entry.read, entry.lost, entry.malformed, entry.late, entry.missed, entry.late_before_ms)
        if stored is not None and stored != again:
            raise AccountingError(
                f"{self.path}: micro-batch {entry.batch_id} was stored as (read, lost, malformed, late, missed, "
                f"watermark) {stored}, and its second run gave {again}; the events of its range have changed"
            )
        return stored is not None

    def _stage(self, rows: pa.Table) -> None:
        columns = [rows.column(name).cast(pa.int64()).to_pylist() for name in ("window_start", "window_end")]
        columns += [rows.column(name).to_pylist() for name in ("url", "hits", "bytes", "errors")]
        self._db.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?)", zip(*columns, strict=True))

    def _merge_staged(self) -> None:
        """Write the staged rows, and update the sums of their windows and the totals by the differences."""
        # The differences are taken before the rows are overwritten: afterwards the old values are gone. A URL is new to
        # its window where the join finds no old row: count(c.url) leaves those out.
        self._db.execute(
            """
            CREATE TEMP TABLE change AS
            SELECT s.window_start, s.window_end, count(*) - count(c.url) AS urls,
                   sum(s.hits - ifnull(c.hits, 0)) AS hits, sum(s.bytes - ifnull(c.bytes, 0)) AS bytes,
                   sum(s.errors - ifnull(c.errors, 0)) AS errors
            FROM staged AS s LEFT JOIN counts AS c USING (window_start, window_end, url)
            GROUP BY s.window_start, s.window_end
            """
        )
        # "WHERE true", because SQLite would otherwise read ON CONFLICT as the ON of a join.
        self._db.execute(
            """
            INSERT INTO windows SELECT * FROM change WHERE true
            ON CONFLICT DO UPDATE SET urls = urls + excluded.urls, hits = hits + excluded.hits,
                                      bytes = bytes + excluded.bytes, errors = errors + excluded.errors
            """
        )
        self._db.execute(
            """
            INSERT INTO counts SELECT * FROM staged WHERE true
            ON CONFLICT DO UPDATE SET hits = excluded.hits, bytes = excluded.bytes, errors = excluded.errors
            """
        )
        hits, added = self._db.execute("SELECT ifnull(sum(hits), 0), ifnull(sum(urls), 0) FROM change").fetchone()
        self._add_to_totals(hits=hits, rows=added)
        self._db.execute("DROP TABLE change")
        self._db.execute("DELETE FROM staged")

    def _record_entry(self, entry: LedgerEntry) -> None:
        terms = {name: getattr(entry, name) for name in ("read", "lost", "malformed", "late", "missed")}
        self._db.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (entry.batch_id, *terms.values(), entry.late_before_ms, entry.closed_before_ms),
        )
        self._db.execute("DELETE FROM batches WHERE batch_id <= ?", (entry.batch_id - KEPT_BATCHES,))
        self._add_to_totals(**terms)
        known = self.positions()
        for log_range in entry.ranges:
            reached = known.get(log_range.log_id, log_range.start)
            if reached != log_range.start:
                raise AccountingError(
                    f"{self.path}: log {log_range.log_id} has been counted up to offset {reached}, "
                    f"micro-batch {entry.batch_id} starts at {log_range.start}"
                )
            self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (log_range.log_id, log_range.end))

    def _add_to_totals(self, **terms: int) -> None:
        self._db.executemany(
            "UPDATE totals SET value = value + ? WHERE name = ?", [(value, name) for name, value in terms.items()]
        )

    def _archive(self, closed_before_us: int) -> None:
        """Delete closed windows beyond the age limit, then the oldest ones beyond the limit of rows."""
        expired: list[tuple[Window, Sums]] = []
        excess = self.total("rows") - self._retention.max_rows if self._retention.max_rows is not None else 0
        age = self._retention.age
        old_before_us = closed_before_us - age // MICROSECOND if age is not None else None
        for start_us, end_us, *sums in self._db.execute(
            "SELECT * FROM windows WHERE window_end <= ? ORDER BY window_start, window_end", (closed_before_us,)
        ):
            if excess <= 0 and (old_before_us is None or end_us > old_before_us):
                break
            expired.append((Window(start_us, end_us), Sums(*sums)))
            excess -= expired[-1][1].urls
        for window, sums in expired:
            self._db.execute("DELETE FROM counts WHERE window_start = ? AND window_end = ?", window)
            self._db.execute("DELETE FROM windows WHERE window_start = ? AND window_end = ?", window)
            self._add_to_totals(rows=-sums.urls, archived_windows=1, archived_rows=sums.urls, archived_hits=sums.hits)

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines that the dead letters had no room for."""
        with self._transaction():
            self._add_to_totals(dead_letters_dropped=lines)


def _windows_of(rows: pa.Table) -> list[Window]:
    keys = ["window_start", "window_end"]
    found = rows.select(keys).group_by(keys).aggregate([])
    times = (found.column(name).cast(pa.int64()).to_numpy().tolist() for name in keys)
    return sorted((Window(start_us, end_us) for start_us, end_us in zip(*times, strict=True)), reverse=True)
