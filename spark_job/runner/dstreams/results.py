"""The results of a DStream job: a table in the job's folder, keyed by batch time, and what is shown and written of it.

Each result goes into the table first, in one transaction that also notes its batch. A batch that comes again after a
recovery finds itself noted and changes nothing; of a job of kind ``state`` it could otherwise put an older value in the
place of a newer one.

A sliding window gives all its rows anew with every slide, so results of windows are kept for a while only.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from headrace.common.durations import MILLISECOND
from spark_job.errors import OptionError, SinkError
from spark_job.runner.dstreams.job import TIME_COLUMNS
from spark_job.sinks.console import visible
from spark_job.sinks.counts_table.reader import EPOCH
from spark_job.sinks.database import Database, parse_target, read_rows
from spark_job.sinks.database.ledger import newest_batch
from spark_job.sinks.database.write import TableWriter
from spark_job.sinks.rows import RowsFile
from spark_job.sinks.sink_spec import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from spark_job.runner.dstreams.intervals import Intervals
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.sinks.database import Target
    from spark_job.sinks.sink_spec import SinkChoice

WIDTH = 100
NUMBER_WIDTH = 12
KINDS = ("console", "jsonl", DATABASE)

Row = tuple[Any, ...]


def check_sinks(sinks: Iterable[SinkChoice]) -> None:
    """Refuse sinks that DStream jobs do not write.

    Raises:
        OptionError: names the sink.
    """
    for sink in sinks:
        if sink.kind not in KINDS:
            raise OptionError(
                f"--sink={str(sink)!r}: Parquet files are for url-counts; jobs over DStreams write to console, "
                "jsonl:PATH and databases"
            )


class Results:
    """Keeps and shows results. Called by one thread at a time; close it in the end.

    Args:
        job: whose results.
        intervals: its batch interval, window and slide.
        database: file of the embedded table.
        query_id: name of this job's batches in the database.
        databases: further ones that get the same rows.
        sinks: console and files.
        top: how many rows of a result the console shows.
        keep: how long results of windows stay in the table.
        stream: the console.
    """

    def __init__(
        self,
        job: DStreamJob,
        intervals: Intervals,
        database: Path,
        query_id: str,
        *,
        databases: Sequence[Target] = (),
        sinks: Sequence[SinkChoice] = (),
        top: int = 10,
        keep: timedelta | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_sinks(sinks)
        self._job = job
        self._intervals = intervals
        self._query_id = query_id
        self._keep = keep
        self._files = [RowsFile(sink.path, self.final, clock) for sink in sinks if sink.path is not None]
        shown = any(sink.kind == "console" for sink in sinks)
        self._console = _Console(job, top, stream or sys.stdout) if shown else None
        with ExitStack() as opened:
            targets = (parse_target(f"sqlite:///{database}"), *databases)
            self._databases = [opened.enter_context(Database(target)) for target in targets]
            self._writers = [
                TableWriter(each, job.table, job.schema, job.stored_key, create=True) for each in self._databases
            ]
            self._opened = opened.pop_all()

    def store(self, time_ms: int, rows: Sequence[Row]) -> None:
        """Store the result of a batch and show it.

        Raises:
            SinkError: it cannot be stored.
        """
        batch_time = EPOCH + time_ms * MILLISECOND
        table = pa.table(
            list(self._columns(batch_time, rows)),
            schema=self._job.schema,
        )
        for database, writer in zip(self._databases, self._writers, strict=True):
            writer.write(table, query_id=self._query_id, batch_id=time_ms)
            if self._keep is not None and self._job.kind == "window":
                stored = writer.target.table
                old = sa.delete(stored).where(stored.c.window_end < batch_time - self._keep)
                database.transaction(partial(_execute, old))
        for file in self._files:
            file.changed()
        if self._console is not None:
            self._console.show(self._title(batch_time), rows)

    def final(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that are the job's result when it has read all that it is to read."""
        rows = read_rows(self._databases[0], self._job.table)
        if self._job.kind != "window" or self._job.every_window:
            yield from rows
            return
        newest_ms = self._databases[0].transaction(lambda found: newest_batch(found, self._query_id, self._job.table))
        newest = EPOCH + newest_ms * MILLISECOND
        yield from (row for row in rows if row["window_end"] == newest)

    def close(self) -> None:
        """Write what was put off, and close the table."""
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
            return f"{_shown(batch_time - self._intervals.window)} to {_shown(batch_time)} UTC"
        return f"{_shown(batch_time)} UTC"


def _execute(statement: sa.Delete, connection: sa.Connection) -> None:
    connection.execute(statement)


def _shown(instant: datetime) -> str:
    text = f"{instant:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{instant.microsecond // 1000:03d}" if instant.microsecond else text


class _Console:
    """Prints the first rows of each result, those with the highest numbers first, and an empty one once."""

    def __init__(self, job: DStreamJob, top: int, stream: TextIO) -> None:
        self._job = job
        self._top = top
        self._stream = stream
        self._was_empty = True
        kinds = list(job.columns.values())
        self._numbers = [pa.types.is_integer(kind) for kind in kinds]
        self._rank = self._numbers.index(True) if True in self._numbers else 0

    def show(self, title: str, rows: Sequence[Row]) -> None:
        if not rows and self._was_empty:
            return
        self._was_empty = not rows
        first = sorted(rows, key=self._order)[: self._top]
        lines = [f"{title}   {len(rows):,} row{'s' * (len(rows) != 1)}"]
        if rows:
            shown = [list(self._job.columns), *first]
            lines += ["".join(self._cells(row)).rstrip() for row in shown]
        try:
            self._stream.write("\n".join(lines) + "\n\n")
            self._stream.flush()
        except OSError as error:
            raise SinkError(f"console: cannot be written: {error.strerror}") from error

    def _order(self, row: Row) -> tuple[Any, ...]:
        if self._job.in_order:
            return row
        return (-row[self._rank], *(str(value) for value in row))

    def _cells(self, row: Sequence[Any]) -> Iterator[str]:
        """Numbers first, as texts may be long."""
        texts = []
        for value, number in zip(row, self._numbers, strict=True):
            if number:
                yield f"{value:>{NUMBER_WIDTH},}" if isinstance(value, int) else f"{value:>{NUMBER_WIDTH}}"
            else:
                texts.append(_shown(value) if isinstance(value, datetime) else str(value))
        left = WIDTH - NUMBER_WIDTH * sum(self._numbers)
        for text in texts:
            yield f"  {visible(text, left - 2)}"
