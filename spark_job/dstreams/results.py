"""The results of a DStream job: a table in the job's folder, keyed by batch time, and what is shown and written of it.

Each result goes into the table first, in one transaction that also notes its batch. A batch that comes again after a
recovery finds itself noted and changes nothing; of a job of kind ``state`` it could otherwise put an older value in the
place of a newer one.

A sliding window gives all its rows anew with every slide, so results of windows are kept for a while only.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from spark_job.dstreams.job import TIME_COLUMNS
from spark_job.durations import MILLISECOND
from spark_job.errors import OptionError, SinkError
from spark_job.sinks.atomic import replacing
from spark_job.sinks.console import visible
from spark_job.sinks.counts import EPOCH
from spark_job.sinks.database import Database, parse_target, read_rows
from spark_job.sinks.database.ledger import newest_batch
from spark_job.sinks.database.writing import TableWriter
from spark_job.sinks.jsonl import REST_PER_WORK, iso_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from spark_job.dstreams.intervals import Intervals
    from spark_job.dstreams.job import DStreamJob
    from spark_job.sinks.choice import SinkChoice

WIDTH = 100
NUMBER_WIDTH = 12
KINDS = ("console", "jsonl")

Row = tuple[Any, ...]


def check_sinks(sinks: Iterable[SinkChoice]) -> None:
    """Refuse sinks that DStream jobs do not write.

    Raises:
        OptionError: names the sink.
    """
    for sink in sinks:
        if sink.kind not in KINDS:
            raise OptionError(
                f"--sink={str(sink)!r}: jobs over DStreams write to console and jsonl:PATH; what they compute is also "
                "in counts.db in the job's folder"
            )


class Results:
    """Keeps and shows results. Called by one thread at a time; close it in the end.

    Args:
        job: whose results.
        intervals: its batch interval, window and slide.
        database: the embedded one.
        query_id: name of this job's batches in the database.
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
        self._files = [_Snapshot(sink.path, self.final, clock) for sink in sinks if sink.path is not None]
        shown = any(sink.path is None for sink in sinks)
        self._console = _Console(job, top, stream or sys.stdout) if shown else None
        with ExitStack() as opened:
            self._database = opened.enter_context(Database(parse_target(f"sqlite:///{database}")))
            self._writer = TableWriter(self._database, job.table, job.schema, job.stored_key, create=True)
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
        self._writer.write(table, query_id=self._query_id, batch_id=time_ms)
        if self._keep is not None:
            stored, oldest = self._writer.target.table, batch_time - self._keep
            self._database.transaction(lambda found: found.execute(sa.delete(stored).where(_end_of(stored) < oldest)))
        for file in self._files:
            file.changed()
        if self._console is not None:
            self._console.show(self._title(batch_time), rows)

    def final(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that are the job's result when it has read all that it is to read."""
        rows = read_rows(self._database, self._job.table)
        if self._job.kind != "window" or self._job.every_window:
            yield from rows
            return
        newest_ms = self._database.transaction(lambda found: newest_batch(found, self._query_id, self._job.table))
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


def _end_of(table: sa.Table) -> sa.Column[Any]:
    return table.c.window_end


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


class _Snapshot:
    """A file of JSON lines that is replaced whole; at most a tenth of the time goes into it."""

    def __init__(self, path: Path, rows: Callable[[], Iterator[dict[str, Any]]], clock: Callable[[], float]) -> None:
        self._path = path
        self._rows = rows
        self._clock = clock
        self._stale = True
        self._next_s = 0.0

    def changed(self) -> None:
        self._stale = True
        if self._clock() >= self._next_s:
            self._write()

    def close(self) -> None:
        if self._stale:
            self._write()

    def _write(self) -> None:
        began_s = self._clock()
        with replacing(self._path) as file:
            for row in self._rows():
                file.write(json_line(row).encode())
        ended_s = self._clock()
        self._stale = False
        self._next_s = ended_s + REST_PER_WORK * (ended_s - began_s)


def json_line(row: dict[str, Any]) -> str:
    """Return a row as one line of JSON, in ASCII, with its end; instants as ISO 8601 in UTC."""
    return (
        json.dumps({name: iso_utc(value) if isinstance(value, datetime) else value for name, value in row.items()})
        + "\n"
    )
