"""Writes the results table of the URL counts: an SQLite file, and the only state that the counts have.

Each micro-batch brings sums over its own lines. One transaction adds them to the table, and stores the ranges of
offsets that the batch covers, the offsets that are reached, and the terms of the sum of all lines.

==============================  ======================================================================================
killed                          and on the next start
==============================  ======================================================================================
before the transaction ended    SQLite undoes it; a new query starts where the table stands, and reads the lines again
after it                        a new query starts behind the batch
==============================  ======================================================================================

So nothing else has to survive: not Spark's checkpoint, not the audit files. A micro-batch that comes again is found by
query and number and changes nothing; one whose range does not begin where the table stands is refused, because its
lines would be missing or be counted twice.

A window is *closed* if it ends at the instant ``closed_before`` of the table or earlier. Only retention moves that
instant, and only forward::

    start        retention says what batch 0 finds closed
    batch n      rows of closed windows are left out; closed windows are archived: their rows are deleted, their sums
                 stay in ``totals``; at the end retention says what batch n+1 finds closed
    sinks        copy what batch n changed, before batch n+1 archives any of it

The file is in WAL mode, so that others can read it at the same time, with synchronous=FULL, so that a commit waits for
the disk.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_job.errors import JobFolderError
from spark_job.sinks.counts_table.reader import CountsReader, Window
from spark_job.sinks.counts_table.retention import Retention
from spark_job.sinks.counts_table.schema import ARROW_SCHEMA, SCHEMA_VERSION, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from spark_job.accounting.ledger import LedgerEntry

CACHE_KIB = 64 * 1024
"""The key is a time and a text, so a batch touches pages all over a large table: SQLite's 2 MiB would thrash."""


class CountsTable(CountsReader):
    """The results table of one job. One thread at a time may use it.

    Args:
        path: the file; created if it is missing, taken over if the version before made it.
        windows_per_line: how many windows each line is in: hits divided by it are lines.
        retention: which windows are closed.
        now: the wall clock, for the age of windows.

    Raises:
        SinkError: the file cannot be opened, or is something else.
        JobFolderError: another version of Headrace made it.
    """

    def __init__(
        self,
        path: Path,
        windows_per_line: int = 1,
        retention: Retention | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self._new_windows_per_line = windows_per_line
        self._retention = retention or Retention()
        self._now = now
        self._db = self._connect("rwc")
        self.records = self._records()
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
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version in SCRIPTS:
            script = f"{SCRIPTS[version]} PRAGMA user_version = {SCHEMA_VERSION};"
            self._db.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
        elif version != SCHEMA_VERSION:
            age = "a newer" if version > SCHEMA_VERSION else "an older"
            raise JobFolderError(
                f"{self.path} was made by {age} headrace (format {version}, this one knows {SCHEMA_VERSION}): use that "
                "version, or take a new job folder and, to count again what the bridges keep, another consumer name"
            )
        self._db.execute(
            "INSERT INTO table_state SELECT ?, ?, NULL, 0 WHERE NOT EXISTS (SELECT * FROM table_state)",
            (str(uuid.uuid4()), self._new_windows_per_line),
        )
        self._db.execute(
            "CREATE TEMP TABLE staged (window_start INTEGER, window_end INTEGER, url TEXT, hits INTEGER, bytes INTEGER,"
            " errors INTEGER, PRIMARY KEY (window_start, window_end, url)) WITHOUT ROWID"
        )
        # Or the first micro-batch would count lines that are too old in the second one: the counts would depend on how
        # many lines a micro-batch takes.
        with self._transaction():
            self._close_windows()

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
        """Add a micro-batch, unless it is stored already; return the windows of its rows, newest first.

        Args:
            entry: the batch's ledger entry.
            rows: window_start, window_end, url, hits, bytes, errors: sums over the lines of this batch alone.

        Raises:
            AccountingError: the batch does not begin where the table stands, or differs from its first run.
            SinkError: the file cannot be written; nothing of the batch is stored.
        """
        with self._transaction():
            self._stage(rows)
            if not self.records.holds(entry):
                self._add_staged()
                self.records.record(entry)
                self._archive()
                self._close_windows()
        with self._errors():
            keys = self._db.execute("SELECT DISTINCT window_start, window_end FROM staged ORDER BY 1 DESC, 2 DESC")
            return [Window(*key) for key in keys]

    def changed_rows(self) -> pa.Table:
        """Return the rows that the newest call of :meth:`record` changed, as the table holds them now."""
        with self._errors():
            found = self._db.execute(
                "SELECT c.* FROM staged AS s JOIN counts AS c USING (window_start, window_end, url)"
            ).fetchall()
        columns = zip(*found, strict=True) if found else [()] * len(ARROW_SCHEMA)
        arrays = [pa.array(values, _stored_type(field)) for values, field in zip(columns, ARROW_SCHEMA, strict=True)]
        return pa.table(arrays, schema=pa.schema([(f.name, _stored_type(f)) for f in ARROW_SCHEMA])).cast(ARROW_SCHEMA)

    def _stage(self, rows: pa.Table) -> None:
        columns = [rows.column(name).cast(pa.int64()).to_pylist() for name in ("window_start", "window_end")]
        columns += [rows.column(name).to_pylist() for name in ("url", "hits", "bytes", "errors")]
        self._db.execute("DELETE FROM staged")
        self._db.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?)", zip(*columns, strict=True))
        self._db.execute("DELETE FROM staged WHERE window_end <= ?", (self.closed_before_us(),))

    def _add_staged(self) -> None:
        """Add the staged rows to the table, to the sums of their windows, and to the totals."""
        # Which URLs are new to their window can only be told before the rows are added.
        self._db.execute(
            """
            CREATE TEMP TABLE change AS
            SELECT s.window_start, s.window_end, count(*) - count(c.url) AS urls, sum(s.hits) AS hits,
                   sum(s.bytes) AS bytes, sum(s.errors) AS errors
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
            ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, bytes = bytes + excluded.bytes,
                                      errors = errors + excluded.errors
            """
        )
        hits, added = self._db.execute("SELECT ifnull(sum(hits), 0), ifnull(sum(urls), 0) FROM change").fetchone()
        self.records.add(hits=hits, rows=added)
        self._db.execute("DROP TABLE change")

    def _archive(self) -> None:
        """Delete the rows of closed windows; their sums stay in the totals."""
        closed = self._db.execute("SELECT * FROM windows WHERE window_end <= ?", (self.closed_before_us(),)).fetchall()
        for start_us, end_us, urls, hits, *_ in closed:
            self._db.execute("DELETE FROM counts WHERE window_start = ? AND window_end = ?", (start_us, end_us))
            self._db.execute("DELETE FROM windows WHERE window_start = ? AND window_end = ?", (start_us, end_us))
            self.records.add(rows=-urls, archived_windows=1, archived_rows=urls, archived_hits=hits)

    def _close_windows(self) -> None:
        """Let retention say which windows the next micro-batch finds closed."""
        retention = self._retention
        instants = [self.closed_before_us(), retention.too_old_us(self._now())]
        excess = retention.excess_rows(self.total("rows"))
        if excess:
            windows = self._db.execute("SELECT window_end, urls FROM windows ORDER BY window_end").fetchall()
            instants.append(retention.end_of_excess_us(excess, windows))
        known = [instant for instant in instants if instant is not None]
        if known:
            self._db.execute("UPDATE table_state SET closed_before = ?", (max(known),))

    def skip_lost(self, starts: Mapping[str, int]) -> None:
        """Count the events as lost between what the table holds and where the next query starts."""
        with self._transaction():
            self.records.skip_lost(starts)

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines that the dead letters had no room for."""
        with self._transaction():
            self.records.add(dead_letters_dropped=lines)


def _stored_type(field: pa.Field[pa.DataType]) -> pa.DataType:
    """Return the type in which SQLite holds a column: instants are numbers."""
    return pa.int64() if pa.types.is_timestamp(field.type) else field.type
