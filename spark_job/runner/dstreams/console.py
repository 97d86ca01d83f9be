"""Prints the results of DStream batches: the rows with the highest numbers first, an empty result only once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_job.sinks.terminal import instant_text, print_block, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from spark_job.runner.dstreams.job import DStreamJob

WIDTH = 100
NUMBER_WIDTH = 12

Row = tuple[Any, ...]
"""One result: the values of the job's columns."""


class BatchConsole:
    """Prints the first rows of each result.

    Args:
        job: names the columns, and says whether their order ranks the rows.
        top: how many rows of a result are shown.
        stream: the console.
    """

    def __init__(self, job: DStreamJob, top: int, stream: TextIO) -> None:
        self._job = job
        self._top = top
        self._stream = stream
        self._was_empty = True
        kinds = list(job.columns.values())
        self._numbers = [pa.types.is_integer(kind) for kind in kinds]
        self._rank = self._numbers.index(True) if True in self._numbers else 0

    def show(self, title: str, rows: Sequence[Row]) -> None:
        """Print a result, unless it and the one before are empty.

        Raises:
            SinkError: the console cannot be written.
        """
        if not rows and self._was_empty:
            return
        self._was_empty = not rows
        first = sorted(rows, key=self._order)[: self._top]
        lines = [f"{title}   {len(rows):,} row{'s' * (len(rows) != 1)}"]
        if rows:
            shown = [list(self._job.columns), *first]
            lines += ["".join(self._cells(row)).rstrip() for row in shown]
        print_block(self._stream, lines)

    def _order(self, row: Row) -> tuple[Any, ...]:
        if self._job.in_order:
            return row
        return (-row[self._rank], *(str(value) for value in row))

    def _cells(self, row: Sequence[Any]) -> Iterator[str]:
        """Yield the cells of a row, numbers first, since texts may be long."""
        texts = []
        for value, number in zip(row, self._numbers, strict=True):
            if number:
                yield f"{value:>{NUMBER_WIDTH},}" if isinstance(value, int) else f"{value:>{NUMBER_WIDTH}}"
            else:
                texts.append(instant_text(value) if isinstance(value, datetime) else str(value))
        left = WIDTH - NUMBER_WIDTH * sum(self._numbers)
        for text in texts:
            yield f"  {visible(text, left - 2)}"
