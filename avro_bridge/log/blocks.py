"""A stored block: its bytes, and what is left of a block of which some lines are stored already.

The payload of a batch of kind ``LINES``::

    byte 0           32          40         48      52
         +-----------+-----------+----------+-------+---------------------------------+------------
         | file id   | position  | length   | size  | headers (Avro map), body length | lines ...
         | 32 bytes  | i64       | i64      | u32   | as Flume sent them              |
         +-----------+-----------+----------+-------+---------------------------------+------------
         |<------------- place ------------>|       |<------------ size ------------->|

All numbers are little-endian. ``length`` is the number of bytes of the file that the block stands for. It is the number
of bytes of ``lines``, except for a *cut line*: one line of which only the beginning was shipped.

The rule for doubles: **a line is stored if the byte at its beginning is.** So blocks that were cut at other lines, by
an agent with another block size, overlap by whole lines, and each line is stored once. ``places.py`` keeps which bytes
of which file are stored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from avro_bridge.contract import Place
from avro_bridge.errors import LogDamaged
from avro_bridge.log.record import HEADER_SIZE, FilePlace, PayloadKind, PendingBatch
from avro_bridge.wire.blocks import count_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from avro_bridge.log.record import StoredBatch

_PLACE_BYTES: Final = 48
_SIZE = struct.Struct("<I")
_LINE_END: Final = 0x0A

PREFIX_SIZE: Final = _PLACE_BYTES + _SIZE.size
"""Bytes of the payload in front of the headers."""

HEADROOM: Final = HEADER_SIZE + PREFIX_SIZE
"""Bytes that must be free in front of an event, so that a block can be stored without a copy of its lines."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """The parts of a stored block. The views point into the mapped file, like ``StoredBatch.payload``."""

    place: Place
    headers: memoryview
    lines: memoryview

    @property
    def is_cut_line(self) -> bool:
        """Whether ``lines`` is only the beginning of one line."""
        return self.place.length > len(self.lines)


def pending_block(
    buffer: bytearray,
    event_start: int,
    lines_start: int,
    place: FilePlace,
    *,
    count: int,
    connection_id: int,
    received_us: int,
) -> PendingBatch:
    """Return the batch of a block that ends where ``buffer`` ends. Its prefix is written in front of the event.

    Args:
        buffer: has at least ``HEADROOM`` free bytes in front of ``event_start``.
        event_start: where the event's headers begin.
        lines_start: where its body begins.
        place: what the body is.
        count: how many lines it has.
        connection_id: of the connection that sent it.
        received_us: when, in microseconds since the epoch.
    """
    start = event_start - PREFIX_SIZE
    buffer[start : start + _PLACE_BYTES] = place.place.to_bytes()
    _SIZE.pack_into(buffer, start + _PLACE_BYTES, lines_start - event_start)
    return PendingBatch(buffer, start, count, PayloadKind.LINES, connection_id, received_us, place=place)


def read_block(batch: StoredBatch) -> StoredBlock:
    """Return the parts of a stored batch of kind ``LINES``.

    Raises:
        LogDamaged: the payload is no block.
    """
    payload = batch.payload
    size = _SIZE.unpack_from(payload, _PLACE_BYTES)[0] if len(payload) >= PREFIX_SIZE else len(payload)
    if PREFIX_SIZE + size >= len(payload):
        raise LogDamaged("the stored block has no lines", batch.first_offset, batch.end_offset - 1)
    place = Place.from_bytes(payload[:_PLACE_BYTES])
    return StoredBlock(place, payload[PREFIX_SIZE : PREFIX_SIZE + size], payload[PREFIX_SIZE + size :])


def without_stored(batch: PendingBatch, block: FilePlace, gaps: list[tuple[int, int]]) -> list[PendingBatch]:
    """Return the lines of a block that are not stored yet, as blocks; the batch itself if none of them is stored.

    ``block`` is the place of the batch. ``gaps`` are the bytes of that place that are not stored: start and end of
    each, in order.
    """
    position, length = block.place.position, block.place.length
    if gaps == [(position, position + length)]:
        return [batch]
    with memoryview(batch.buffer) as whole, whole[batch.start :] as payload:
        head = PREFIX_SIZE + _SIZE.unpack_from(payload, _PLACE_BYTES)[0]
        event, lines = bytes(payload[PREFIX_SIZE:head]), bytes(payload[head:])
    if length > len(lines):
        # A cut line is there or not: its beginning decides.
        return [batch] if gaps and gaps[0][0] == position else []
    ranges = _whole_lines(lines, [(low - position, high - position) for low, high in gaps])
    return [_piece(batch, block, event, lines, start, stop) for start, stop in ranges]


def _whole_lines(lines: bytes, gaps: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ``lines`` that hold the lines which begin in one of the gaps."""
    for low, high in gaps:
        begins_line = low == 0 or lines[low - 1] == _LINE_END
        start = low if begins_line else lines.find(b"\n", low) + 1
        # No further line begins in this block, or none in this gap.
        if (not begins_line and start == 0) or start >= high:
            continue
        # The last line that begins in the gap may end behind it.
        last = lines.find(b"\n", high - 1)
        yield start, len(lines) if last < 0 else last + 1


def _piece(batch: PendingBatch, block: FilePlace, event: bytes, lines: bytes, start: int, stop: int) -> PendingBatch:
    """Return ``lines[start:stop]`` as a block with the headers of the whole one."""
    place = Place(block.place.file_id, block.place.position + start, stop - start)
    return pending_block(
        bytearray(HEADROOM) + event + lines[start:stop],
        HEADROOM,
        HEADROOM + len(event),
        FilePlace(place, block.file_size),
        count=count_lines(lines[start:stop]),
        connection_id=batch.connection_id,
        received_us=batch.received_us,
    )
