"""Counts of lines by both ways: parsing each, and the counter that parses only what its kernels leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from headrace.common.durations import MICROSECOND
from headrace.common.text import EPOCH, iso_utc
from spark_job.parse import LineCounter, LineParser, panes, roll_up
from spark_job.parse.line_counter import DEAD_LETTERS, KERNELS_AFTER_LINES, LinesSeen

RECEIVED = datetime(2024, 5, 1, 12, 0, 30, tzinfo=UTC)
COLUMNS = ("time", "url", "status", "bytes", "raw", "error")


@dataclass(frozen=True)
class Question:
    """How lines are counted."""

    log_format: str = "combined"
    rule: str = "path"
    pane: timedelta = timedelta(minutes=1)
    by_arrival: bool = False
    timezone: str = "UTC"
    open_from: datetime | None = None

    @property
    def open_from_us(self) -> int | None:
        """The instant as the counter takes it."""
        return None if self.open_from is None else (self.open_from - EPOCH) // MICROSECOND


@dataclass(frozen=True)
class Answer:
    """What came of it: sorted sums, dead letters in order, how many of these are too old, lines of each pane."""

    sums: list[tuple[Any, ...]]
    dead_letters: list[tuple[Any, ...]]
    too_old: int
    panes: dict[int, int]


def events(lines: list[bytes], pieces: int = 1) -> pa.Table:
    """Return lines as a bridge gives them, in so many record batches, each a minute later than the one before."""
    step = max(1, -(-len(lines) // pieces))
    batches = []
    for low in range(0, max(1, len(lines)), step):
        part = lines[low : low + step]
        received = pa.array([RECEIVED + timedelta(minutes=low)] * len(part), pa.timestamp("us", tz="UTC"))
        offsets = pa.array(range(low, low + len(part)), pa.int64())
        columns = [offsets, received, pa.array(part, pa.binary())]
        batches.append(pa.record_batch(columns, names=["offset", "received", "body"]))
    return pa.Table.from_batches(batches)


def parsed(question: Question, table: pa.Table) -> Answer:
    """Return the answer of parsing each line, and comparing each with the instant."""
    parser = LineParser(question.log_format, question.rule, question.timezone)
    lines = parser.parse(pl.Series("body", table.column("body")), COLUMNS)
    received = pl.Series("received", table.column("received"))
    if question.by_arrival:
        lines = lines.with_columns(time=pl.when(pl.col("error").is_null()).then(received))
    places = lines.with_columns(pl.Series("offset", table.column("offset")), received)
    letters, old = [], []
    for place, (line, body) in enumerate(zip(places.iter_rows(named=True), table.column("body"), strict=True)):
        if line["error"] is None and question.open_from is not None and line["time"] < question.open_from:
            old.append(place)
            line["raw"] = body.as_py().decode("utf-8", "replace").rstrip("\r")
            line["error"] = f"too old: all windows of lines before {iso_utc(question.open_from)} are closed"
        if line["error"] is not None:
            letters.append(tuple(line.get(name) for name in DEAD_LETTERS))
    kept = lines.with_row_index().filter(~pl.col("index").is_in(old))
    return _answer(roll_up(kept, question.pane), letters, len(old), question.pane)


def counted(question: Question, *tables: pa.Table, kernels: bool = True) -> Answer:
    """Return the answer of the counter, with its kernels loaded or not."""
    parser = LineParser(question.log_format, question.rule, question.timezone)
    seen = LinesSeen(KERNELS_AFTER_LINES if kernels else -sum(table.num_rows for table in tables))
    counter = LineCounter(
        parser, question.pane, by_arrival=question.by_arrival, open_from_us=question.open_from_us, seen=seen
    )
    for table in tables:
        counter.add(table)
    counts = counter.take()
    return _answer(counts.sums, counts.dead_letters.rows(), counts.too_old, question.pane)


def left_by_kernels(question: Question, table: pa.Table) -> list[int]:
    """Return the places of the lines that the kernels do not take."""
    parser = LineParser(question.log_format, question.rule, question.timezone)
    counter = LineCounter(
        parser, question.pane, open_from_us=question.open_from_us, seen=LinesSeen(KERNELS_AFTER_LINES)
    )
    arrays = counter._kernels(1)
    assert arrays is not None
    return [int(place) for batch in table.to_batches() for place in arrays.add(batch.column("body"), None)]


def _answer(sums: pl.DataFrame, dead_letters: list[tuple[Any, ...]], too_old: int, pane: timedelta) -> Answer:
    return Answer(sorted(sums.rows()), dead_letters, too_old, panes(sums, pane))
