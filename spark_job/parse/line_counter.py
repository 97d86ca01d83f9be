"""Counts lines per pane and URL, as if it parsed each line, but faster.

The kernels (:mod:`.kernels`) take the lines that are written as nearly all lines of the named formats are. The parser
(:class:`.parser.LineParser`) takes the others, and defines the result of both. Loading the kernels costs a process
about as much as parsing half a million lines, so a process that sees few lines never loads them.

Each line ends in one of three places:

=========  ===========================================================================  ==============================
line       is                                                                           goes to
=========  ===========================================================================  ==============================
counted    parsed, and its time is not too old                                          one sum
malformed  not in the format                                                            the dead letters
too old    parsed, but before the oldest open pane: all of its windows are closed       the dead letters, ``too_old``
=========  ===========================================================================  ==============================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from headrace.common.durations import MICROSECOND
from headrace.common.text import EPOCH, iso_utc
from spark_job.blocks import (
    CUT_LENGTH,
    Blocks,
    binary_column,
    column_of,
    cut_lengths,
    is_blocks,
    lines_in,
    lines_of,
    lines_schema,
    numbers,
)
from spark_job.parse.kernels.line_form import LineForm
from spark_job.parse.parser import raw_texts
from spark_job.parse.rollup import add_up, roll_up
from spark_job.parse.schema import TIME_TYPE
from spark_job.parse.text import decode

if TYPE_CHECKING:
    from datetime import timedelta

    from spark_job.parse.kernels.sum_arrays import SumArrays
    from spark_job.parse.parser import LineParser

KERNELS_AFTER_LINES: Final = 200_000
"""A process loads the kernels when it has seen more lines than this."""
PARSED_AT_ONCE: Final = 8192
"""Lines that the kernels leave wait until there are so many: each call of the parser has a fixed cost."""
MAX_SUMS: Final = 1_000_000
"""Soft limit on buffered sums."""
MAX_HELD_BYTES: Final = 128 * 1024 * 1024
"""Soft limit on the bytes of buffered targets, of waiting lines and of dead letters."""

DEAD_LETTERS: Final[dict[str, pl.DataType]] = {
    "offset": pl.Int64(),
    "received": TIME_TYPE,
    "error": pl.String(),
    "raw": pl.String(),
    CUT_LENGTH: pl.Int64(),
}
"""The columns of a dead letter: a line that is not counted, and the reason."""

_COLUMNS = ("time", "url", "status", "bytes", "raw", "error")


@dataclass
class LinesSeen:
    """How many lines a process was given to count: this decides when it loads the kernels."""

    lines: int = 0


THIS_PROCESS: Final = LinesSeen()


@dataclass(frozen=True)
class Counts:
    """The result of counting some lines.

    Attributes:
        sums: one row for each pane and URL, as :func:`.rollup.roll_up` returns them.
        dead_letters: one row for each malformed or too old line, in order, with the columns of :data:`DEAD_LETTERS`.
        too_old: how many of the dead letters are too old; the others are malformed.
    """

    sums: pl.DataFrame
    dead_letters: pl.DataFrame
    too_old: int


class LineCounter:
    """Counts lines per pane and URL.

    Args:
        parser: parser of the lines' format.
        pane: length of a pane; panes start at its multiples, counted from the epoch.
        by_arrival: count each line by the time at which the bridge received it, not by the time in it.
        open_from_us: where the oldest open pane starts, in microseconds since the epoch: lines before it are too old.
            None if no window is closed.
        seen: how many lines this process has seen; another counter in tests.
    """

    def __init__(
        self,
        parser: LineParser,
        pane: timedelta,
        *,
        by_arrival: bool = False,
        open_from_us: int | None = None,
        seen: LinesSeen = THIS_PROCESS,
    ) -> None:
        self._parser = parser
        self._pane = pane
        self._by_arrival = by_arrival
        self._open_from_us = open_from_us
        self._seen = seen
        self._form = LineForm.of(parser.line_format)
        self._arrays: SumArrays | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_lines = self._waiting_bytes = 0
        self._sums: list[pl.DataFrame] = []
        self._dead_letters: list[pl.DataFrame] = []
        self._too_old = 0

    @property
    def is_full(self) -> bool:
        """True when the caller should take the counts, to bound memory."""
        rows, size = sum(map(len, self._sums)), sum(frame.estimated_size() for frame in self._dead_letters)
        if self._arrays is not None:
            rows, size = rows + self._arrays.rows, size + self._arrays.kept_bytes
        return rows > MAX_SUMS or size > MAX_HELD_BYTES

    def add(self, table: pa.Table) -> None:
        """Count the lines of a table.

        Args:
            table: lines or blocks, see :mod:`spark_job.blocks`: ``body`` (binary), ``received`` (microseconds, UTC),
                ``offset`` and what tells blocks or cut lines apart.

        Raises:
            BridgeRefused: the blocks are not as the contract says.
        """
        batches = table.to_batches()
        arrays = self._kernels(sum(map(lines_in, batches)))
        for batch in batches:
            if is_blocks(batch):
                left = lines_of(batch, PARSED_AT_ONCE) if arrays is None else [self._count_blocks(batch, arrays)]
            else:
                left = [batch if arrays is None else self._count(batch, arrays)]
            for lines in left:
                self._leave(lines)

    def _leave(self, lines: pa.RecordBatch) -> None:
        """Let lines wait for the parser."""
        if not lines.num_rows:
            return
        self._waiting.append(lines)
        self._waiting_lines += lines.num_rows
        self._waiting_bytes += lines.get_total_buffer_size()
        if self._waiting_lines >= PARSED_AT_ONCE or self._waiting_bytes > MAX_HELD_BYTES:
            self._parse_waiting()

    def take(self) -> Counts:
        """Return the counts so far, and start from zero."""
        self._parse_waiting()
        if self._arrays is not None:
            self._sums.append(self._arrays.take())
        dead_letters = pl.concat([pl.DataFrame(schema=DEAD_LETTERS), *self._dead_letters])
        counts = Counts(add_up(self._sums, self._pane), dead_letters, self._too_old)
        self._sums, self._dead_letters, self._too_old = [], [], 0
        return counts

    def _kernels(self, lines: int) -> SumArrays | None:
        """Return the kernels' arrays; None if the kernels do not know the format, or too few lines have come."""
        if self._form is None:
            return None
        self._seen.lines += lines
        if self._arrays is None and self._seen.lines > KERNELS_AFTER_LINES:
            # Imported here, since this loads numba.
            from spark_job.parse.kernels.sum_arrays import SumArrays

            self._arrays = SumArrays(self._form, self._parser.rule, self._pane // MICROSECOND, self._open_from_us)
        return self._arrays

    def _count(self, batch: pa.RecordBatch, arrays: SumArrays) -> pa.RecordBatch:
        """Count the lines that the kernels take; return the others."""
        arrived_us = numbers(batch.column("received")) if self._by_arrival else None
        left = arrays.add(batch.column("body"), arrived_us)
        return batch.take(column_of(left)) if len(left) else batch.slice(0, 0)

    def _count_blocks(self, batch: pa.RecordBatch, arrays: SumArrays) -> pa.RecordBatch:
        """Count the lines of blocks that the kernels take; return the others as rows."""
        blocks = Blocks.of(batch)
        left = arrays.add_blocks(blocks, by_arrival=self._by_arrival)
        fields = lines_schema(batch, with_lengths=bool(blocks.is_cut.any()), with_headers=False)
        columns = [
            column_of(blocks.first_offset + left.numbers),
            column_of(blocks.received[left.blocks], fields.field("received").type),
            binary_column(left.content, left.lengths),
        ]
        if CUT_LENGTH in fields.names:
            columns.append(cut_lengths(blocks, left.blocks))
        return pa.record_batch(columns, schema=fields)

    def _parse_waiting(self) -> None:
        """Parse and count the waiting lines."""
        if not self._waiting:
            return
        # Not all have the same columns.
        table = pa.concat_tables([pa.Table.from_batches([each]) for each in self._waiting], promote_options="default")
        self._waiting = []
        self._waiting_lines = self._waiting_bytes = 0
        bodies = pl.Series("body", table.column("body"))
        cut_length = cut_length_of(table)
        lines = self._parser.parse(bodies, _COLUMNS, cut_length)
        received = pl.Series("received", table.column("received"))
        if self._by_arrival:
            lines = lines.with_columns(time=pl.when(pl.col("error").is_null()).then(received))
        if self._open_from_us is not None:
            lines = self._with_too_old(lines, bodies, self._open_from_us)
        self._sums.append(roll_up(lines, self._pane))
        if lines["error"].null_count() < len(lines):
            places = pl.DataFrame([pl.Series("offset", table.column("offset")), received])
            found = pl.concat([places, lines.select("error", "raw")], how="horizontal")
            lengths = pl.lit(None, pl.Int64) if cut_length is None else cut_length
            found = found.with_columns(lengths.alias(CUT_LENGTH))
            self._dead_letters.append(found.filter(pl.col("error").is_not_null()))

    def _with_too_old(self, lines: pl.DataFrame, bodies: pl.Series, open_from_us: int) -> pl.DataFrame:
        """Count the too old lines, and return all lines; the too old ones now have ``raw`` and ``error``."""
        # A malformed line has no time, so it is not found here and keeps its own error.
        rows = (lines["time"].dt.epoch("us") < open_from_us).arg_true()
        if rows.is_empty():
            return lines
        self._too_old += len(rows)
        raw, error = raw_texts(decode(bodies.gather(rows))), too_old_error(open_from_us)
        return lines.with_columns(lines["raw"].scatter(rows, raw), lines["error"].scatter(rows, error))


def too_old_error(open_from_us: int) -> str:
    """Return why a line before ``open_from_us``, where the oldest open pane starts, is not counted."""
    return f"too old: all windows of lines before {iso_utc(EPOCH + open_from_us * MICROSECOND)} are closed"


def cut_length_of(table: pa.Table) -> pl.Series | None:
    """Return the column ``cut_length`` of rows of lines; None if no line is cut."""
    if CUT_LENGTH not in table.schema.names or table.column(CUT_LENGTH).null_count == table.num_rows:
        return None
    return pl.Series(CUT_LENGTH, table.column(CUT_LENGTH))
