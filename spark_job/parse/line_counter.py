"""Lines counted per pane and URL, in the cheapest way that gives the result of parsing each.

The kernels (:mod:`.kernels`) take the lines of the named formats that are written as nearly all are; the others go
through :class:`.parser.LineParser`, which is what defines the result of both. Loading the kernels costs a process about
as much as parsing half a million lines, so a process that never sees many never loads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from headrace.common.durations import MICROSECOND
from spark_job.parse.kernels.line_form import LineForm
from spark_job.parse.rollup import add_up, roll_up
from spark_job.parse.schema import TIME_TYPE

if TYPE_CHECKING:
    from datetime import timedelta

    from spark_job.parse.kernels.sum_arrays import SumArrays
    from spark_job.parse.parser import LineParser

KERNELS_AFTER_LINES: Final = 200_000
PARSED_AT_ONCE: Final = 8192
"""Lines that the kernels leave are parsed when there are so many: a call of the parser has a price of its own."""
MAX_SUMS: Final = 1_000_000
MAX_HELD_BYTES: Final = 128 * 1024 * 1024
"""More sums, or more bytes of targets, waiting lines or malformed ones, are not held at once by much."""

MALFORMED: Final[dict[str, pl.DataType]] = {
    "offset": pl.Int64(),
    "received": TIME_TYPE,
    "error": pl.String(),
    "raw": pl.String(),
}

_COLUMNS = ("time", "url", "status", "bytes", "raw", "error")


@dataclass
class Warmth:
    """How many lines a process has counted, by which it knows whether the kernels are worth loading."""

    lines: int = 0


THIS_PROCESS: Final = Warmth()


@dataclass(frozen=True)
class Counts:
    """What some lines came to.

    Attributes:
        sums: as :func:`.rollup.roll_up` gives them, one row for each pane and URL.
        malformed: a row for each malformed line, in order: :data:`MALFORMED`.
    """

    sums: pl.DataFrame
    malformed: pl.DataFrame


class LineCounter:
    """Adds lines up per pane and URL.

    Args:
        parser: of the lines' format.
        pane: length of a pane; panes start at the multiples of it counted from the epoch.
        by_arrival: count lines by when they were received, in place of their own time.
        warmth: what is known of this process.
    """

    def __init__(
        self, parser: LineParser, pane: timedelta, *, by_arrival: bool = False, warmth: Warmth = THIS_PROCESS
    ) -> None:
        self._parser = parser
        self._pane = pane
        self._by_arrival = by_arrival
        self._warmth = warmth
        self._form = LineForm.of(parser.line_format)
        self._arrays: SumArrays | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._sums: list[pl.DataFrame] = []
        self._malformed: list[pl.DataFrame] = []

    @property
    def is_full(self) -> bool:
        """Whether the counts should be taken, lest they need too much memory."""
        rows, size = sum(map(len, self._sums)), sum(frame.estimated_size() for frame in self._malformed)
        if self._arrays is not None:
            rows, size = rows + self._arrays.rows, size + self._arrays.kept_bytes
        return rows > MAX_SUMS or size > MAX_HELD_BYTES

    def add(self, table: pa.Table) -> None:
        """Add lines up.

        Args:
            table: ``body`` (binary, without line feeds), ``received`` (microseconds, UTC), ``offset``.
        """
        batches = table.to_batches()
        arrays = self._kernels(table.num_rows)
        if arrays is not None:
            batches = [self._count(batch, arrays) for batch in batches]
        self._waiting += [batch for batch in batches if batch.num_rows]
        if (
            sum(batch.num_rows for batch in self._waiting) >= PARSED_AT_ONCE
            or sum(batch.get_total_buffer_size() for batch in self._waiting) > MAX_HELD_BYTES
        ):
            self._parse_waiting()

    def take(self) -> Counts:
        """Return what was counted, and forget it."""
        self._parse_waiting()
        if self._arrays is not None:
            self._sums.append(self._arrays.take())
        counts = Counts(add_up(self._sums, self._pane), pl.concat([pl.DataFrame(schema=MALFORMED), *self._malformed]))
        self._sums, self._malformed = [], []
        return counts

    def _kernels(self, lines: int) -> SumArrays | None:
        """Return the kernels, if they know the form and are worth loading now that so many lines have come."""
        if self._form is None:
            return None
        self._warmth.lines += lines
        if self._arrays is None and self._warmth.lines > KERNELS_AFTER_LINES:
            # Loads numba.
            from spark_job.parse.kernels.sum_arrays import SumArrays

            self._arrays = SumArrays(self._form, self._parser.rule, self._pane // MICROSECOND)
        return self._arrays

    def _count(self, batch: pa.RecordBatch, arrays: SumArrays) -> pa.RecordBatch:
        """Add up what the kernels take; return the other lines."""
        arrived_us = np.asarray(batch.column("received").view(pa.int64())) if self._by_arrival else None
        left = arrays.add(batch.column("body"), arrived_us)
        # Not pa.array: it loads pandas.
        rows = pa.Array.from_buffers(pa.int64(), len(left), [None, pa.py_buffer(left)])
        return batch.take(rows) if len(left) else batch.slice(0, 0)

    def _parse_waiting(self) -> None:
        """Parse the lines that wait, and add them up."""
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting)
        self._waiting = []
        lines = self._parser.parse(pl.Series("body", table.column("body")), _COLUMNS)
        received = pl.Series("received", table.column("received"))
        if self._by_arrival:
            lines = lines.with_columns(time=pl.when(pl.col("error").is_null()).then(received))
        self._sums.append(roll_up(lines, self._pane))
        if lines["error"].null_count() < len(lines):
            places = pl.DataFrame([pl.Series("offset", table.column("offset")), received])
            found = pl.concat([places, lines.select("error", "raw")], how="horizontal")
            self._malformed.append(found.filter(pl.col("error").is_not_null()))
