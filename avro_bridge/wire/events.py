"""Checks, counts, locates and copies the events of a payload, without a Python object per event.

A *payload* is an Avro ``array<AvroFlumeEvent>`` as received (layout: ``kernels/walk.py``). An *index* has one row for
each event, with positions in the payload::

    header start | header end | body start | body length        (the body's length is stored at header end)

fastavro's strict decoder is the reference: this reader refuses what fastavro refuses, and reads the rest with the same
result, except for malformed bytes that fastavro accepts (``kernels/walk.py`` lists them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avro_bridge.errors import EventError
from avro_bridge.wire.avro_primitives import encode_long
from avro_bridge.wire.kernels import copy, error_codes, walk

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from avro_bridge.wire.limits import WireLimits

Index: TypeAlias = NDArray[np.int64]
"""Rows of four, see the top of this file."""

# Arrow's offsets have 32 bits.
_LARGEST_PAYLOAD = 2**31 - 1
_NO_INDEX = np.empty((0, 4), np.int64)
# Far above any count, and still low enough that a count can be added without an overflow.
_NO_LIMITS = np.full(3, 2**62, np.int64)


@dataclass(frozen=True, slots=True)
class StringColumn:
    """Byte strings side by side, as Arrow lays them out: n + 1 offsets, and the bytes."""

    offsets: NDArray[np.int32]
    data: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class HeaderColumn:
    """The headers of some events as an Arrow ``map<string, string>``.

    ``offsets`` (n + 1 numbers) say which entries belong to which event. Each key occurs once in an event.
    """

    offsets: NDArray[np.int32]
    keys: StringColumn
    values: StringColumn


def count_events(payload: Buffer, limits: WireLimits) -> int:
    """Check a whole payload and count its events.

    Raises:
        EventError: the payload is malformed or over a limit.
    """
    bounds = np.array((limits.max_events, limits.max_header_bytes, limits.max_headers), np.int64)
    code, position, count = walk.walk(_bytes(payload), _NO_INDEX, bounds)
    if code != error_codes.OK:
        raise EventError(error_codes.TEXTS[code], position)
    return count


def index_events(payload: Buffer, count: int) -> Index:
    """Locate the events of a payload that :func:`count_events` has accepted.

    Checks all lengths again, but not the text of the headers.

    Raises:
        EventError: the payload does not hold exactly ``count`` events.
    """
    data = _bytes(payload)
    # An event takes two bytes at least, so a wrong count cannot ask for much memory.
    if not 0 <= count <= len(data) // 2:
        raise EventError(f"{len(data)} bytes cannot hold {count} events", 0)
    index = np.empty((count, 4), np.int64)
    code, position, found = walk.walk(data, index, _NO_LIMITS)
    if code != error_codes.OK:
        raise EventError(error_codes.TEXTS[code], position)
    if found != count:
        raise EventError(f"{count} events were announced and {found} found", position)
    return index


def gather_bodies(payload: Buffer, index: Index, lo: int, hi: int) -> StringColumn:
    """Copy the bodies of events ``lo`` to ``hi`` (excluded) side by side.

    Raises:
        EventError: the index does not belong to the payload.
    """
    rows = index[lo:hi]
    return _column(_bytes(payload), rows[:, 2], rows[:, 3])


def gather_headers(payload: Buffer, index: Index, lo: int, hi: int) -> HeaderColumn:
    """Copy the headers of events ``lo`` to ``hi`` (excluded) side by side.

    A key that occurs twice in one event keeps its first place and its last value, as in the dict that other Avro
    readers return. Arrow allows repeated keys in a map, but its readers disagree about their meaning.

    Raises:
        EventError: the index does not belong to the payload.
    """
    data = _bytes(payload)
    offsets, entries = _list_headers(data, index[lo:hi])
    return HeaderColumn(
        offsets.astype(np.int32),
        _column(data, entries[:, 0], entries[:, 1]),
        _column(data, entries[:, 2], entries[:, 3]),
    )


def header_values(payload: Buffer, index: Index, key: bytes) -> NDArray[np.int64]:
    """Locate one header in each event: rows of start and length, or -1 and -1 where an event lacks it.

    If the key occurs twice in an event, the last value counts.

    Raises:
        EventError: the index does not belong to the payload.
    """
    spans = np.empty((len(index), 2), np.int64)
    if walk.find_header(_bytes(payload), index, _bytes(key), spans) != error_codes.OK:
        raise _mismatch()
    return spans


def hash_values(payload: Buffer, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hash the values that :func:`header_values` has located, to 32 bits; -1 where an event has none.

    The hash is fast and not keyed, so a sender can make two values collide. Use it only to rule out that two values are
    equal.
    """
    hashes = np.empty(len(spans), np.int64)
    copy.hash_spans(_bytes(payload), spans, hashes)
    return hashes


def select_events(payload: Buffer, index: Index, keep: NDArray[np.bool_], headroom: int = 0) -> bytearray:
    """Build a payload of the events for which ``keep`` is true, in their order.

    Returns:
        ``headroom`` free bytes and the new payload behind them.

    Raises:
        EventError: the index does not belong to the payload.
    """
    kept = index[keep]
    lengths = kept[:, 2] + kept[:, 3] - kept[:, 0]
    head = encode_long(len(kept)) if len(kept) else b""
    size = int(lengths.sum())
    # One byte more, which stays 0: the end of an Avro array.
    selected = bytearray(headroom + len(head) + size + 1)
    start = headroom + len(head)
    selected[headroom:start] = head
    target = np.frombuffer(selected, np.uint8)[start : start + size]
    if not copy.gather(_bytes(payload), np.ascontiguousarray(kept[:, 0]), lengths, target):
        raise _mismatch()
    return selected


def _bytes(payload: Buffer) -> NDArray[np.uint8]:
    data = np.frombuffer(memoryview(payload), np.uint8)
    if len(data) > _LARGEST_PAYLOAD:
        raise EventError("a payload has less than 2 GiB", _LARGEST_PAYLOAD)
    return data


def _column(data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> StringColumn:
    starts = np.ascontiguousarray(starts)
    lengths = np.ascontiguousarray(lengths)
    # Parts of one payload that do not overlap cannot add up to more than the payload, so 32 bits are enough below.
    total = int(lengths.sum())
    if not 0 <= total <= len(data):
        raise _mismatch()
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    target = np.empty(total, np.uint8)
    if not copy.gather(data, starts, lengths, target):
        raise _mismatch()
    return StringColumn(offsets, target)


def _list_headers(data: NDArray[np.uint8], index: Index) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each event where its headers start among the entries; key start and length, value start and length."""
    rows = np.ascontiguousarray(index)
    offsets = np.zeros(len(rows) + 1, np.int64)
    most = walk.list_headers(data, rows, offsets, _NO_INDEX)
    if most < 0:
        raise EventError(error_codes.TEXTS[-most], 0)
    entries = np.empty((most, 4), np.int64)
    return offsets, entries[: walk.list_headers(data, rows, offsets, entries)]


def _mismatch() -> EventError:
    return EventError(error_codes.TEXTS[error_codes.INDEX_MISMATCH], 0)
