"""Blocks, and the lines in them: rows that stand for many lines each, and how they become one row for each line.

The readers hand two kinds of record batches on, which their columns tell apart:

=======  ============================================================  ==============================================
rows     columns                                                       one row is
=======  ============================================================  ==============================================
lines    ``offset``, ``received``, ``body`` and perhaps ``headers``    one event, or one line without its line feed
blocks   those of :mod:`avro_bridge.contract`, that is, also           ``count`` lines of a file, with their line
         ``count`` and ``place``                                       feeds, or the beginning of one *cut line*
=======  ============================================================  ==============================================

Line rows that are made of blocks with a cut line also have the column ``cut_length``: how many bytes a cut line has in
its file, and null for a whole line. No other line rows have this column.

Everything works on whole columns, and makes no Python object for a line: a block of 1 MiB has thousands of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from spark_job.errors import BridgeRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

CUT_LENGTH: Final = "cut_length"
MAX_HEADER_BYTES: Final = 32 * 1024 * 1024
"""Each line has the headers of its block: a record batch of lines has no more bytes of headers than this."""
STRETCH_BYTES: Final = 4 * 1024 * 1024
"""The lines of so many bytes are found at once. The numbers that say where they are take up to 30 times as much."""

_LINE_FEED: Final = 0x0A
_PLACE: Final = np.dtype([("file_id", "V32"), ("position", "<i8"), ("length", "<i8")])


def is_blocks(rows: pa.RecordBatch | pa.Table) -> bool:
    """Return whether the rows are blocks."""
    return "place" in rows.schema.names


def lines_in(rows: pa.RecordBatch) -> int:
    """Return how many lines, or events, the rows stand for."""
    return int(numbers(rows.column("count")).sum()) if is_blocks(rows) else int(rows.num_rows)


def numbers(column: pa.Array[Any]) -> Numbers:
    """Return a column of 64-bit numbers or times without nulls; copies nothing."""
    # Not numpy.asarray or Array.to_numpy of a time: they would make other types of it.
    _, content = column.buffers()
    return np.frombuffer(content, np.int64, len(column), column.offset * 8) if len(column) else np.empty(0, np.int64)


def column_of(values: Numbers, kind: pa.DataType | None = None) -> pa.Array[Any]:
    """Return 64-bit numbers as a column of integers or times; copies nothing."""
    # Not pa.array: it imports pandas, which costs each of Spark's workers 0.4 s.
    return pa.Array.from_buffers(kind or pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def binary_column(content: NDArray[np.uint8], lengths: Numbers) -> pa.Array[Any]:
    """Return bytes as a column of rows with these lengths, one after the other; copies no content."""
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(ends), pa.py_buffer(content)])


def _bounds(column: pa.Array[Any]) -> Numbers:
    """Return where each row of a binary column starts in its bytes, and where the last one ends."""
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4).astype(np.int64)


@dataclass(frozen=True)
class Blocks:
    """The numbers of a record batch of blocks, one of each for each row, and the bytes that they are about.

    Attributes:
        data: the bytes of all blocks, one after the other, and perhaps others before and after them.
        bounds: where each block starts in ``data``, and where the last one ends.
        counts: how many lines each block has, as the bridge says.
        is_cut: whether the block is the beginning of a cut line.
        file_length: how many bytes of its file the block stands for.
        received: when the bridge received it, in microseconds since the epoch.
        first_offset: offset of the first line; the others follow on.
    """

    data: NDArray[np.uint8]
    bounds: Numbers
    counts: Numbers
    is_cut: NDArray[np.bool_]
    file_length: Numbers
    received: Numbers
    first_offset: int

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> Self:
        """Return the blocks of a record batch.

        Raises:
            BridgeRefused: they are not as the contract says, except that their lines are not counted yet.
        """
        try:
            # All offsets in Arrow's columns are checked here, so the code behind need not check any.
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise BridgeRefused(f"a block's columns are damaged: {error}") from None
        bodies, places = batch.column("body"), batch.column("place")
        bounds = _bounds(bodies)
        lengths = np.diff(bounds)
        if places.null_count or (np.diff(_bounds(places)) != _PLACE.itemsize).any():
            raise BridgeRefused(f"a block has no place of {_PLACE.itemsize} bytes")
        place = np.frombuffer(places.buffers()[2], _PLACE, len(places), int(_bounds(places)[0]))
        content = bodies.buffers()[2]
        blocks = cls(
            data=np.empty(0, np.uint8) if content is None else np.frombuffer(content, np.uint8),
            bounds=bounds,
            counts=numbers(batch.column("count")),
            is_cut=place["length"] > lengths,
            file_length=place["length"].astype(np.int64),
            received=numbers(batch.column("received")),
            first_offset=int(numbers(batch.column("offset"))[0]),
        )
        offsets = blocks.first_offset + np.cumsum(blocks.counts) - blocks.counts
        if (numbers(batch.column("offset")) != offsets).any():
            raise BridgeRefused(f"the blocks from offset {blocks.first_offset} do not follow on each other")
        wrong = (blocks.counts < 1) | (place["length"] < lengths) | ((lengths == 0) & ~blocks.is_cut)
        if wrong.any():
            raise BridgeRefused(
                f"the block at offset {offsets[wrong.argmax()]} has no line, or more bytes than its place"
            )
        return blocks

    def require_counts(self, found: Numbers) -> None:
        """Compare the lines that were found in each block with what the bridge says.

        Raises:
            BridgeRefused: a block has another number of lines: the offsets of the lines behind it would be wrong.
        """
        if (wrong := found != self.counts).any():
            row = int(wrong.argmax())
            offset = self.first_offset + int(self.counts[:row].sum())
            raise BridgeRefused(
                f"the block at offset {offset} has {found[row]} lines, and the bridge says {self.counts[row]}"
            )


def lines_of(batch: pa.RecordBatch, max_lines: int) -> Iterator[pa.RecordBatch]:
    """Yield a row for each line of a record batch of blocks, at most ``max_lines`` of them in a record batch.

    Raises:
        BridgeRefused: the blocks are not as the contract says.
    """
    blocks = Blocks.of(batch)
    headers = batch.column("headers") if "headers" in batch.schema.names else None
    if headers is not None:
        max_lines = max(1, min(max_lines, MAX_HEADER_BYTES // (headers.nbytes // len(headers) + 1)))
    fields = lines_schema(batch, with_lengths=bool(blocks.is_cut.any()))
    offset = blocks.first_offset
    found = np.zeros(len(blocks.counts), np.int64)
    for lines in _stretches(blocks):
        found += np.bincount(lines.rows, minlength=len(found))
        for low in range(0, len(lines.rows), max_lines):
            some = lines.slice(low, low + max_lines)
            columns = [
                column_of(np.arange(offset, offset + len(some.rows))),
                column_of(blocks.received[some.rows], fields.field("received").type),
                some.bodies(blocks.data),
            ]
            if headers is not None:
                columns.append(headers.take(column_of(some.rows)))
            if CUT_LENGTH in fields.names:
                columns.append(cut_lengths(blocks, some.rows))
            offset += len(some.rows)
            yield pa.record_batch(columns, schema=fields)
    blocks.require_counts(found)


def lines_schema(blocks: pa.RecordBatch, *, with_lengths: bool, with_headers: bool = True) -> pa.Schema:
    """Return the columns that the lines of a record batch of blocks have."""
    names = [
        name for name in blocks.schema.names if name not in ("count", "place") and (with_headers or name != "headers")
    ]
    fields = [blocks.schema.field(name) for name in names]
    return pa.schema([*fields, pa.field(CUT_LENGTH, pa.int64())] if with_lengths else fields)


def cut_lines(batch: pa.RecordBatch) -> dict[int, int]:
    """Return how long the cut lines of a record batch are, by their offsets; of lines there are none."""
    if not is_blocks(batch):
        return {}
    blocks = Blocks.of(batch)
    rows = np.flatnonzero(blocks.is_cut)
    offsets = numbers(batch.column("offset"))[rows]
    return dict(zip(offsets.tolist(), blocks.file_length[rows].tolist(), strict=True))


def cut_lengths(blocks: Blocks, rows: Numbers) -> pa.Array[Any]:
    """Return the column ``cut_length`` of the lines that are in these rows."""
    is_cut = np.packbits(blocks.is_cut[rows], bitorder="little")
    content = np.ascontiguousarray(blocks.file_length[rows])
    return pa.Array.from_buffers(pa.int64(), len(rows), [pa.py_buffer(is_cut), pa.py_buffer(content)])


@dataclass(frozen=True)
class _Lines:
    """Where lines are: their block, their first byte, and the byte behind their last, which is a line feed or not."""

    rows: Numbers
    starts: Numbers
    stops: Numbers
    has_feed: NDArray[np.bool_]

    def slice(self, low: int, high: int) -> _Lines:
        return _Lines(self.rows[low:high], self.starts[low:high], self.stops[low:high], self.has_feed[low:high])

    def bodies(self, data: NDArray[np.uint8]) -> pa.Array[Any]:
        """Return the lines without their line feeds."""
        low, high = int(self.starts[0]), int(self.stops[-1])
        kept = np.ones(high - low, np.bool_)
        # Nothing but these line feeds is between the lines. That of the last line lies behind ``high``.
        kept[self.stops[:-1][self.has_feed[:-1]] - low] = False
        return binary_column(data[low:high][kept], self.stops - self.starts)


def _stretches(blocks: Blocks) -> Iterator[_Lines]:
    """Yield the lines of some blocks at a time, or of a part of a block that is very large."""
    row, rows = 0, len(blocks.counts)
    while row < rows:
        # Blocks that are together not too large, but at least one.
        behind = int(np.searchsorted(blocks.bounds, blocks.bounds[row] + STRETCH_BYTES, "right")) - 1
        behind = max(row + 1, min(behind, rows))
        start, stop = int(blocks.bounds[row]), int(blocks.bounds[behind])
        if stop - start <= STRETCH_BYTES or blocks.is_cut[row]:
            yield _find_lines(blocks, np.arange(row, behind), start, stop)
        else:
            while start < stop:
                end = _line_end(blocks.data, start + STRETCH_BYTES, stop)
                yield _find_lines(blocks, np.array([row]), start, end)
                start = end
        row = behind


def _line_end(data: NDArray[np.uint8], position: int, stop: int) -> int:
    """Return the position behind the first line feed from ``position`` on, but not beyond ``stop``."""
    while position < stop:
        found = np.flatnonzero(data[position : min(position + STRETCH_BYTES, stop)] == _LINE_FEED)
        if len(found):
            return position + int(found[0]) + 1
        position += STRETCH_BYTES
    return stop


def _find_lines(blocks: Blocks, rows: Numbers, start: int, stop: int) -> _Lines:
    """Return where the lines of these rows are, between ``start`` and ``stop``."""
    # Where each row ends; behind a part of a row, the part.
    row_ends = np.minimum(blocks.bounds[rows + 1], stop)
    feeds = start + np.flatnonzero(blocks.data[start:stop] == _LINE_FEED)
    is_cut = blocks.is_cut[rows]
    if is_cut.any():
        # A line feed in a cut line ends nothing.
        feeds = feeds[~is_cut[np.searchsorted(row_ends, feeds, "right")]]
    # No block is empty, but the beginning of a cut line may be.
    is_open = is_cut.copy()
    is_open[~is_cut] = blocks.data[row_ends[~is_cut] - 1] != _LINE_FEED
    # The last line of a row ends where the row ends, if not with a line feed. Both ends in order: an even number is an
    # end without a line feed, so that it comes before a line feed at the same position, with which the next row starts.
    ends = np.sort(np.concatenate([feeds * 2 + 1, row_ends[is_open] * 2]))
    stops, has_feed = ends >> 1, (ends & 1).astype(np.bool_)
    starts = np.empty_like(stops)
    starts[:1] = start
    starts[1:] = stops[:-1] + has_feed[:-1]
    behind = stops + has_feed
    # The first row that ends there or later. If several lines end there, all but the first are empty cut lines, each a
    # row: count those before.
    before = np.arange(len(behind)) - np.searchsorted(behind, behind, "left")
    of_row = np.searchsorted(row_ends, behind, "left") + before
    return _Lines(rows[of_row], starts, stops, has_feed)
