"""Converts stored batches to Arrow record batches, without a Python object per event.

The wire's kernel walks a stored batch once and locates each header map and body; the bodies are then copied into one
Arrow buffer. Small stored batches (a trickle of single events) are joined, so that a reader never pays for one record
batch per event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from avro_bridge.contract import schema
from avro_bridge.log.record import PayloadKind
from avro_bridge.wire.events import gather_bodies, gather_headers, index_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from avro_bridge.log.record import StoredBatch
    from avro_bridge.wire.events import Index, StringColumn

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""A record batch is passed on once it reaches this size, whatever its number of events."""


def record_batches(
    stored: Iterable[StoredBatch], start: int, end: int, *, headers: bool, batch_events: int
) -> Iterator[pa.RecordBatch]:
    """Yield the events ``start <= offset < end`` of ``stored`` in order.

    Args:
        stored: consecutive batches that cover the range; each payload view is used before the next is asked for.
        start: first offset wanted; may lie inside the first batch.
        end: offset behind the last one wanted; may lie inside the last batch.
        headers: whether the headers column is built.
        batch_events: a record batch is passed on once it has at least so many events.
    """
    waiting: list[pa.RecordBatch] = []
    events = size = 0
    for batch in stored:
        piece = _record_batch(batch, start, end, headers=headers)
        waiting.append(piece)
        events += piece.num_rows
        size += piece.nbytes
        if events >= batch_events or size >= MAX_BATCH_BYTES:
            yield _join(waiting)
            waiting, events, size = [], 0, 0
    if waiting:
        yield _join(waiting)


def _join(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)


def _record_batch(batch: StoredBatch, start: int, end: int, *, headers: bool) -> pa.RecordBatch:
    """Build the part of one stored batch that lies in the range."""
    if batch.kind is not PayloadKind.EVENTS:  # pragma: no cover - the bridge stores no other kind yet
        raise NotImplementedError(f"offset {batch.first_offset}: payload kind {batch.kind.name} cannot be served")
    index = index_events(batch.payload, batch.count)
    low = max(start - batch.first_offset, 0)
    high = min(end - batch.first_offset, batch.count)
    count = high - low
    first = batch.first_offset + low
    bodies = gather_bodies(batch.payload, index, low, high)
    columns: list[pa.Array] = [
        _numbers(pa.int64(), np.arange(first, first + count, dtype=np.int64)),
        _numbers(pa.timestamp("us", tz="UTC"), np.full(count, batch.received_us, dtype=np.int64)),
        _column(pa.binary(), bodies),
    ]
    if headers:
        columns.append(_headers(batch.payload, index, low, high))
    return pa.record_batch(columns, schema=schema(headers=headers))


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
