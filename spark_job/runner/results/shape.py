"""How the rows of a result are stored: by which key, in which order, and with numbers if no columns tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from headrace.common.durations import MILLISECOND
from headrace.common.text import EPOCH
from spark_job.sinks.database.write import OldRows

if TYPE_CHECKING:
    from datetime import timedelta

    from spark_job.sinks.rows import Row

ROW_NUMBER = "row"
"""Column that numbers the rows of a result without a key."""
ROW_NUMBERS_PER_BATCH = 1 << 32
"""Row numbers reserved for each micro-batch, so that one that runs again gives its rows the same numbers."""


@dataclass(frozen=True)
class ResultShape:
    """How the rows of a result are stored.

    Attributes:
        key: the columns that tell rows apart.
        output_mode: ``update`` (rows that changed), ``append`` (rows once they are final) or ``complete`` (all rows).
        numbered: no columns tell rows apart, so each row gets a number in a first column :data:`ROW_NUMBER`.
        ordered: the order of a micro-batch's rows is part of the result.
    """

    key: tuple[str, ...]
    output_mode: Literal["update", "append", "complete"]
    numbered: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class TimedBatches:
    """How results are kept and shown whose batches are numbered by their time, in milliseconds since the epoch.

    Attributes:
        order: columns by which the console sorts a result, each with ``ascending`` or ``descending``.
        numbers: columns of whole numbers; the console shows them first, aligned to the right.
        column: the column with the time of the batch; empty if no column has it.
        keep: how long rows stay, counted from ``column``; None: for ever.
        newest_only: whether a file has only the rows of the newest batch.
    """

    order: tuple[tuple[str, str], ...]
    numbers: tuple[str, ...]
    column: str = ""
    keep: timedelta | None = None
    newest_only: bool = False

    def old_rows(self, batch_id: int) -> OldRows | None:
        """Return the rows that retention deletes with a batch; None if it deletes none."""
        # Counted back from the batch's own time, not from now: after a long stop old batches are stored first.
        return None if self.keep is None else OldRows(self.column, EPOCH + batch_id * MILLISECOND - self.keep)

    def is_in_files(self, row: Row, newest_id: int) -> bool:
        """Say whether files have a row while ``newest_id`` is the newest batch."""
        return not self.newest_only or row[self.column] == EPOCH + newest_id * MILLISECOND


def in_shape(rows: pa.Table, shape: ResultShape, number: int) -> pa.Table:
    """Return the rows of a micro-batch in an order that does not depend on Spark's tasks, with numbers if needed."""
    if not shape.ordered:
        rows = rows.sort_by([(name, "ascending") for name in rows.schema.names])
    return numbered(rows, number * ROW_NUMBERS_PER_BATCH) if shape.numbered else rows


def numbered(rows: pa.Table, first: int) -> pa.Table:
    """Return the rows with a column of numbers in front, from ``first`` on."""
    return rows.add_column(0, ROW_NUMBER, pa.array(range(first, first + rows.num_rows), pa.int64()))


def without_number(row: Row) -> Row:
    """Return a row without its number."""
    return {name: value for name, value in row.items() if name != ROW_NUMBER}
