"""Counts of lines by both ways: parsing each, and the counter that parses only what its kernels leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from spark_job.parse import LineCounter, LineParser, panes, roll_up
from spark_job.parse.line_counter import KERNELS_AFTER_LINES, MALFORMED, LinesSeen

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


@dataclass(frozen=True)
class Answer:
    """What came of it, in an order of its own: sums, malformed lines, lines of each pane."""

    sums: list[tuple[Any, ...]]
    malformed: list[tuple[Any, ...]]
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
    """Return the answer of parsing each line."""
    parser = LineParser(question.log_format, question.rule, question.timezone)
    lines = parser.parse(pl.Series("body", table.column("body")), COLUMNS)
    received = pl.Series("received", table.column("received"))
    if question.by_arrival:
        lines = lines.with_columns(time=pl.when(pl.col("error").is_null()).then(received))
    places = lines.with_columns(pl.Series("offset", table.column("offset")), received)
    return _answer(
        roll_up(lines, question.pane), places.filter(pl.col("error").is_not_null()).select(*MALFORMED), question.pane
    )


def counted(question: Question, *tables: pa.Table) -> Answer:
    """Return the answer of the counter, its kernels loaded."""
    parser = LineParser(question.log_format, question.rule, question.timezone)
    counter = LineCounter(parser, question.pane, by_arrival=question.by_arrival, seen=LinesSeen(KERNELS_AFTER_LINES))
    for table in tables:
        counter.add(table)
    counts = counter.take()
    return _answer(counts.sums, counts.malformed, question.pane)


def left_by_kernels(question: Question, table: pa.Table) -> list[int]:
    """Return the places of the lines that the kernels do not take."""
    parser = LineParser(question.log_format, question.rule, question.timezone)
    counter = LineCounter(parser, question.pane, seen=LinesSeen(KERNELS_AFTER_LINES))
    arrays = counter._kernels(1)
    assert arrays is not None
    return [int(place) for batch in table.to_batches() for place in arrays.add(batch.column("body"), None)]


def _answer(sums: pl.DataFrame, malformed: pl.DataFrame, pane: timedelta) -> Answer:
    return Answer(sorted(sums.rows()), malformed.rows(), panes(sums, pane))
