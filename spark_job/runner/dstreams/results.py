"""Stores the results of a DStream job: a table keyed by batch time, then console, files and databases.

Each result goes into the table first, in one transaction with its batch's number. A batch that runs again after a
recovery finds its number stored and changes nothing. Without that, a batch of a ``state`` job could replace a newer
value by an older one.

Batches only mark the files as changed. Another thread writes them, from connections of their own
(:mod:`spark_job.sinks.snapshot_file`), so a large table does not slow batches down.

A sliding window repeats all its rows with every slide, so results of windows are kept for a limited time.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from headrace.common.durations import MILLISECOND
from headrace.common.text import EPOCH
from spark_job.runner.dstreams.console import BatchConsole
from spark_job.runner.dstreams.job import TIME_COLUMNS
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.ledger import stored_batch_on
from spark_job.sinks.database.read import rows_on
from spark_job.sinks.database.write import TableWriter
from spark_job.sinks.rows import RowsFile
from spark_job.sinks.sink_spec import refuse_parquet
from spark_job.sinks.terminal import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path
    from typing import TextIO

    from spark_job.runner.dstreams.console import Row
    from spark_job.runner.dstreams.intervals import Intervals
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.sinks.database import DatabaseUrl
    from spark_job.sinks.sink_spec import SinkSpec


class BatchResults:
    """Stores and shows results. One thread stores; another may call ``write_if_due``. Close it in the end.

    Args:
        job: the job.
        intervals: its batch interval, window and slide.
        database: file of the embedded table.
        query_id: the id of this job's batches in the ledger.
        databases: further databases that get the same rows.
        adopt: whether to take the tables there from other jobs that own them.
        sinks: console and files.
        top: how many rows of a result the console shows.
        keep: how long results of windows stay in the table; None: for ever.
        stream: the console; None: standard output.
        clock: monotonic seconds.

    Raises:
        OptionError: a sink cannot be used; or a table in a database does not fit, or belongs to another job.
        SinkError: a table cannot be opened.
    """

    def __init__(
        self,
        job: DStreamJob,
        intervals: Intervals,
        database: Path,
        query_id: str,
        *,
        databases: Sequence[DatabaseUrl] = (),
        adopt: bool = False,
        sinks: Sequence[SinkSpec] = (),
        top: int = 10,
        keep: timedelta | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        refuse_parquet(sinks)
        self._job = job
        self._intervals = intervals
        self._query_id = query_id
        self._keep = keep
        self._files = [RowsFile(sink.path, self.final, clock) for sink in sinks if sink.path is not None]
        shown = any(sink.kind == "console" for sink in sinks)
        self._console = BatchConsole(job, top, stream or sys.stdout) if shown else None
        with ExitStack() as opened:
            targets = (parse_database_url(f"sqlite:///{database}"), *databases)
            self._databases = [opened.enter_context(Database(target)) for target in targets]
            self._reader = opened.enter_context(Database(targets[0], keep_connection=False))
            self._writers = [
                # The embedded table, the first one, belongs to whoever holds the job's folder.
                TableWriter(each, job.table, job.schema, job.stored_key, create=True, adopt=adopt or place == 0)
                for place, each in enumerate(self._databases)
            ]
            for writer in self._writers:
                writer.check_owner(query_id)
            self._opened = opened.pop_all()

    def store(self, time_ms: int, rows: Sequence[Row]) -> None:
        """Store the result of a batch, show it, and mark the files as changed.

        Raises:
            SinkError: it cannot be stored.
        """
        batch_time = EPOCH + time_ms * MILLISECOND
        table = pa.table(list(self._columns(batch_time, rows)), schema=self._job.schema)
        for database, writer in zip(self._databases, self._writers, strict=True):
            writer.write(table, query_id=self._query_id, batch_id=time_ms)
            if self._keep is not None and self._job.kind == "window":
                stored = writer.target.table
                # Measured from the batch's own time, not from now: after a long stop old batches are stored first.
                old = sa.delete(stored).where(stored.c.window_end < batch_time - self._keep)
                database.transaction(partial(_execute, old))
        for file in self._files:
            file.mark_changed()
        if self._console is not None:
            self._console.show(self._title(batch_time), rows)

    def write_if_due(self) -> None:
        """Write the files that were put off, if their pause is over; another thread than that of ``store`` may call it.

        Raises:
            SinkError: one cannot be written.
        """
        for file in self._files:
            file.write_if_due()

    def final(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the job's final result: those of a window job are in its newest window.

        Raises:
            SinkError: the table cannot be read.
        """
        # One transaction: a batch that is stored in between would leave no row of the window that was the newest.
        with self._reader.reading() as connection:
            rows = rows_on(connection, self._reader, self._job.table)
            if self._job.kind != "window" or self._job.every_window:
                yield from rows
                return
            newest = EPOCH + stored_batch_on(connection, self._query_id, self._job.table) * MILLISECOND
            yield from (row for row in rows if row["window_end"] == newest)

    def close(self) -> None:
        """Write the files that were put off, and close the table."""
        with self._opened:
            for file in self._files:
                file.close()

    def _columns(self, batch_time: datetime, rows: Sequence[Row]) -> Iterator[pa.Array]:
        for name in TIME_COLUMNS[self._job.kind]:
            instant = batch_time - self._intervals.window if name == "window_start" else batch_time
            yield pa.array([instant] * len(rows), self._job.schema.field(name).type)
        for place, kind in enumerate(self._job.columns.values()):
            yield pa.array([row[place] for row in rows], kind)

    def _title(self, batch_time: datetime) -> str:
        if self._job.kind == "window":
            return f"{instant_text(batch_time - self._intervals.window)} to {instant_text(batch_time)} UTC"
        return f"{instant_text(batch_time)} UTC"


def _execute(statement: sa.Delete, connection: sa.Connection) -> None:
    connection.execute(statement)
