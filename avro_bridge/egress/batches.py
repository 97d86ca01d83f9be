"""Converts stored batches to Arrow record batches, without a Python object per event.

The wire's kernel walks a stored batch once and locates each header map and body; the bodies are then copied into one
Arrow buffer. A stored block is copied as it is, one row for all of its lines. Small stored batches (a trickle of single
events) are joined, so that a reader never pays for one record batch per event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from avro_bridge.contract import Place, schema
from avro_bridge.errors import BadRequest
from avro_bridge.log.blocks import read_block
from avro_bridge.log.record import PayloadKind
from avro_bridge.wire.blocks import line_start
from avro_bridge.wire.events import StringColumn, gather_bodies, gather_headers, index_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from avro_bridge.log.record import StoredBatch
    from avro_bridge.wire.events import Index

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""A record batch is passed on once it reaches this size, whatever its number of events."""

JOINED_BLOCK_BYTES = 256 * 1024
"""Blocks are joined up to this size only: to join is to copy, and a row is worth a record batch long before."""


def record_batches(
    stored: Iterable[StoredBatch], start: int, end: int, *, headers: bool, blocks: bool, batch_events: int
) -> Iterator[pa.RecordBatch]:
    """Yield what is stored under ``start <= offset < end``, in order.

    Args:
        stored: consecutive batches that cover the range; each payload view is used before the next is asked for.
        start: first offset wanted; may lie inside the first batch.
        end: offset behind the last one wanted; may lie inside the last batch.
        headers: whether the headers column is built.
        blocks: whether the reader knows blocks; their columns are there then.
        batch_events: a record batch is passed on once it has at least so many events.

    Raises:
        BadRequest: the range has blocks, and the reader does not know them.
    """
    waiting: list[pa.RecordBatch] = []
    events = size = 0
    kind = PayloadKind.EVENTS
    for batch in stored:
        # First of all: what is yielded before would end the life of this batch's payload.
        piece = _record_batch(batch, start, end, headers=headers, blocks=blocks)
        if waiting and batch.kind is not kind:
            yield _join(waiting)
            waiting, events, size = [], 0, 0
        kind = batch.kind
        waiting.append(piece)
        events += piece.num_rows
        size += piece.nbytes
        if events >= batch_events or size >= (JOINED_BLOCK_BYTES if kind is PayloadKind.LINES else MAX_BATCH_BYTES):
            yield _join(waiting)
            waiting, events, size = [], 0, 0
    if waiting:
        yield _join(waiting)


def _join(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)


def _record_batch(batch: StoredBatch, start: int, end: int, *, headers: bool, blocks: bool) -> pa.RecordBatch:
    """Build the part of one stored batch that lies in the range."""
    low = max(start - batch.first_offset, 0)
    high = min(end - batch.first_offset, batch.count)
    if batch.kind is PayloadKind.LINES:
        if not blocks:
            raise BadRequest(
                f"offset {batch.first_offset} is in a block of lines, which this reader does not know: upgrade the job"
            )
        return _block(batch, low, high, headers=headers)
    index = index_events(batch.payload, batch.count)
    count = high - low
    first = batch.first_offset + low
    columns = {
        "offset": _numbers(pa.int64(), np.arange(first, first + count, dtype=np.int64)),
        "received": _numbers(pa.timestamp("us", tz="UTC"), np.full(count, batch.received_us, dtype=np.int64)),
        "body": _column(pa.binary(), gather_bodies(batch.payload, index, low, high)),
    }
    if blocks:
        columns["count"] = _numbers(pa.int64(), np.ones(count, np.int64))
        columns["place"] = pa.nulls(count, pa.binary())
    if headers:
        columns["headers"] = _headers(batch.payload, index, low, high)
    wanted = schema(headers=headers, blocks=blocks)
    return pa.record_batch([columns[name] for name in wanted.names], schema=wanted)


def _block(batch: StoredBatch, low: int, high: int, *, headers: bool) -> pa.RecordBatch:
    """Build one row of the lines ``low`` to ``high`` (excluded) of a stored block."""
    block = read_block(batch)
    place, lines = block.place, block.lines
    if (low, high) != (0, batch.count):
        begin, stop = line_start(lines, low), line_start(lines, high)
        place, lines = Place(place.file_id, place.position + begin, stop - begin), lines[begin:stop]
    columns = [
        _numbers(pa.int64(), np.array([batch.first_offset + low])),
        _numbers(pa.int64(), np.array([high - low])),
        _numbers(pa.timestamp("us", tz="UTC"), np.array([batch.received_us])),
        _column(pa.binary(), _one_string(place.to_bytes())),
        _column(pa.binary(), _one_string(lines)),
    ]
    if headers:
        # The walk needs to know only where the map starts: it ends by itself, in front of the body's length.
        index = np.array([[0, len(block.headers), 0, 0]], np.int64)
        columns.append(_headers(block.headers, index, 0, 1))
    return pa.record_batch(columns, schema=schema(headers=headers, blocks=True))


def _one_string(data: bytes | memoryview) -> StringColumn:
    """Copy one byte string to a column."""
    return StringColumn(np.array([0, len(data)], np.int32), np.frombuffer(data, np.uint8).copy())


def _headers(payload: memoryview, index: Index, low: int, high: int) -> pa.Array:
    headers = gather_headers(payload, index, low, high)
    keys, values = _column(pa.string(), headers.keys), _column(pa.string(), headers.values)
    return pa.MapArray.from_arrays(_numbers(pa.int32(), headers.offsets), keys, values)


def _numbers(kind: pa.DataType, numbers: NDArray[np.int64] | NDArray[np.int32]) -> pa.Array:
    """Wrap numbers as an Arrow column. ``pa.array`` does the same, but loads pandas: 0.4 s in the first request."""
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _column(kind: pa.DataType, column: StringColumn) -> pa.Array:
    """Wrap gathered bytes as an Arrow column, without a copy."""
    buffers = [None, pa.py_buffer(column.offsets), pa.py_buffer(column.data)]
    return pa.Array.from_buffers(kind, len(column.offsets) - 1, buffers)
