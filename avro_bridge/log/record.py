"""The stored form of one batch: its key, its header, its checksum.

The key is the batch's first offset, eight bytes big-endian, because LMDB orders keys by their bytes. The value is a
header of fixed size, directly followed by the payload::

    byte   0        4             12             20               28       32     33        36
           +--------+-------------+--------------+----------------+--------+------+---------+-----------
           | version| checksum    | received_us  | connection_id  | count  | kind | zero    | payload ...
           | u32    | u64         | i64          | u64            | u32    | u8   | 3 bytes |
           +--------+-------------+--------------+----------------+--------+------+---------+-----------
                                  |<------------- covered by the checksum, up to the end ------------->|

All numbers of the header are little-endian. The checksum is xxh3_64 over everything behind it, seeded with the first
offset, so a batch under a wrong key is detected too. The version comes first and outside of the checksum: a program can
tell a newer format from damage before it trusts anything else. Later versions may change all but these four bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import xxhash

from avro_bridge.errors import LogDamaged, LogVersion

if TYPE_CHECKING:
    from avro_bridge.contract import Place

FORMAT_VERSION: Final = 2
"""The version that this program writes. Version 1 is the same without batches of kind ``LINES``."""

OLDEST_VERSION: Final = 1
"""The oldest version that it reads. One log may hold batches of several versions."""

MAX_COUNT: Final = 2**32 - 1

_VERSION = struct.Struct("<I")
_CHECKSUM = struct.Struct("<Q")
_FIELDS = struct.Struct("<qQIB3x")
_COVERED: Final = _VERSION.size + _CHECKSUM.size
_KEY = struct.Struct(">Q")

HEADER_SIZE: Final = _COVERED + _FIELDS.size


class PayloadKind(IntEnum):
    """The kind of a payload. The log looks inside only for event ids (``dedup/event_ids.py``) and for places."""

    EVENTS = 1
    """An Avro array of events, as Flume sent it."""
    LINES = 2
    """A block of whole lines of one file, with its place; see ``blocks.py``."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The place of a block that is not stored yet, and the size of its file."""

    place: Place
    file_size: int


@dataclass(slots=True)
class PendingBatch:
    """A batch on its way into the log.

    The payload is ``buffer[start:]``. At least ``HEADER_SIZE`` bytes in front of ``start`` belong to the log. It packs
    the header into them, so that header and payload reach LMDB as one slice and the payload is not copied. The caller
    must not touch the buffer until the batch is answered.

    A batch with ``count`` 0 stores nothing and has no offset; its ``duplicates`` are counted all the same.
    """

    buffer: bytearray
    start: int
    count: int
    kind: PayloadKind
    connection_id: int
    received_us: int
    duplicates: int = 0
    """Events that were dropped from this batch because they are stored already."""
    place: FilePlace | None = None
    """Of a block. Its lines that are stored already are dropped when it is appended; see ``blocks.py``."""

    def __post_init__(self) -> None:
        if not HEADER_SIZE <= self.start <= len(self.buffer):
            raise ValueError(f"start {self.start} leaves no room for a header of {HEADER_SIZE} bytes in the buffer")
        if not 0 <= self.count <= MAX_COUNT:
            raise ValueError(f"count {self.count} does not fit the header")

    @property
    def stored_size(self) -> int:
        """Bytes of header and payload together."""
        return len(self.buffer) - self.start + HEADER_SIZE


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch read from the log.

    ``payload`` points into the mapped file. It is valid only until the next step of its reader.
    """

    first_offset: int
    count: int
    kind: PayloadKind
    received_us: int
    connection_id: int
    payload: memoryview

    @property
    def end_offset(self) -> int:
        """The offset behind the batch's last event."""
        return self.first_offset + self.count


def pack_key(first_offset: int) -> bytes:
    """Return the key of the batch that starts at ``first_offset``."""
    return _KEY.pack(first_offset)


def unpack_key(key: memoryview | bytes) -> int:
    """Return the first offset of the batch with this key."""
    return int(_KEY.unpack(key)[0])


def pack_in_place(batch: PendingBatch, first_offset: int) -> memoryview:
    """Write the header in front of the payload and return both as one view of the batch's own buffer.

    The caller releases the view; until then the buffer cannot be resized.
    """
    begin = batch.start - HEADER_SIZE
    covered = begin + _COVERED
    _FIELDS.pack_into(batch.buffer, covered, batch.received_us, batch.connection_id, batch.count, batch.kind)
    with memoryview(batch.buffer) as whole:
        checksum = xxhash.xxh3_64_intdigest(whole[covered:], seed=first_offset)
        _VERSION.pack_into(batch.buffer, begin, FORMAT_VERSION)
        _CHECKSUM.pack_into(batch.buffer, begin + _VERSION.size, checksum)
        return whole[begin:]


def check_version(version: int, what: str) -> None:
    """Check that this program can read a format version.

    Raises:
        LogVersion: ``what`` was written by a newer program, or by one that is too old; the text says what to do.
    """
    if version > FORMAT_VERSION:
        raise LogVersion(
            f"{what} has format version {version}, this program reads up to {FORMAT_VERSION}: start the program that "
            "wrote it or a newer one, or give this one a fresh folder"
        )
    if version < OLDEST_VERSION:
        raise LogVersion(
            f"{what} has format version {version}, this program reads {OLDEST_VERSION} to {FORMAT_VERSION}: let the "
            "program that wrote it serve the log until all is read, then give this one a fresh folder"
        )


def unpack(first_offset: int, value: memoryview, next_first: int) -> StoredBatch:
    """Read and check the batch stored under ``first_offset``; ``payload`` is a view into ``value``.

    ``next_first`` is where the next batch starts. It bounds the damaged range, since the count in a damaged header
    cannot be trusted.

    Raises:
        LogVersion: a newer program wrote it, or one that is too old.
        LogDamaged: the value is not what was written.
    """
    # At least one offset, also where a damaged neighbour's key makes ``next_first`` too small.
    last = max(first_offset, next_first - 1)
    version = _VERSION.unpack_from(value)[0] if len(value) >= _VERSION.size else 0
    # No program has written version 0: it is a page of zeros, hence damage and no old format.
    if version > 0:
        check_version(version, f"the batch at offset {first_offset}")
    if len(value) < HEADER_SIZE:
        raise LogDamaged(f"the stored batch is {len(value)} bytes, shorter than its header", first_offset, last)
    with value[_COVERED:] as covered:
        checksum = xxhash.xxh3_64_intdigest(covered, seed=first_offset)
    if version == 0 or checksum != _CHECKSUM.unpack_from(value, _VERSION.size)[0]:
        raise LogDamaged("the stored batch does not match its checksum", first_offset, last)
    received_us, connection_id, count, kind = _FIELDS.unpack_from(value, _COVERED)
    if kind not in _KINDS:
        raise LogDamaged(f"the stored batch has the unknown payload kind {kind}", first_offset, last)
    return StoredBatch(first_offset, count, PayloadKind(kind), received_us, connection_id, value[HEADER_SIZE:])


def peek(value: memoryview) -> tuple[int, int]:
    """Return ``received_us`` and connection id of a stored batch without checking it; zeros if it is cut short."""
    if len(value) < HEADER_SIZE:
        return 0, 0
    received_us, connection_id, _count, _kind = _FIELDS.unpack_from(value, _COVERED)
    return int(received_us), int(connection_id)


_KINDS = frozenset(int(kind) for kind in PayloadKind)
