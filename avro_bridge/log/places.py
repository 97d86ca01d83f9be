"""Places: which bytes of which file are stored in this log.

Two tables. A file's row and its intervals lie side by side in ``places``, and ``files`` has the files in the order in
which they were stored last::

    table    key                                              value
    places   file id (32 bytes)                               file size (i64), offset of its newest line (u64)
    places   file id, start of an interval (u64, big-endian)  end of the interval (u64), whose byte is not stored
    files    offset of the file's newest line (u64, big-end.) file id

Numbers of values are little-endian. Intervals that touch are merged, so a file that was read in order has one. The
transaction that stores a block also adds its place: after a crash both are there or neither.

There is no clock in this and no expiry: a block that comes a year later is recognised. What bounds the tables is the
number of files, and of rows: a file that is spread over many bridges, or sent by somebody who wants to fill the disk,
has many intervals. Beyond ``LogSettings.max_files``, or four rows for each of these, the rows of the files that were
stored longest ago are deleted. A file whose rows are gone would be stored again if it came again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from avro_bridge.wire.blocks import FILE_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avro_bridge.contract import Place
    from avro_bridge.log.environment import Cursor, Environment, Transaction
    from avro_bridge.log.record import FilePlace

_FILE = struct.Struct("<qQ")
_START = struct.Struct(">Q")
_END = struct.Struct("<Q")
_INTERVAL_KEY_BYTES: Final = FILE_ID_BYTES + _START.size

ROWS_PER_FILE: Final = 4
"""Rows of ``places`` for each file that is allowed: one for itself, and intervals."""

MAX_FORGOTTEN: Final = 16
"""How many files one transaction forgets at most, so that no batch waits long. More than one block can add."""


@dataclass(frozen=True, slots=True)
class FileStored:
    """What is stored of one file."""

    size: int
    """Bytes of the whole file, as its agent announced it."""
    intervals: tuple[tuple[int, int], ...]
    """Start and end of what is stored: in order, apart from each other."""

    @property
    def stored_bytes(self) -> int:
        """Bytes of the file that are stored."""
        return sum(end - start for start, end in self.intervals)


def stored_of(environment: Environment, transaction: Transaction, file_id: bytes) -> FileStored | None:
    """Return what is stored of a file, or None if its id is not known."""
    row = transaction.get(file_id, db=environment.places)
    if row is None:
        return None
    with transaction.cursor(environment.places) as cursor:
        found = cursor.set_range(file_id + _START.pack(0))
        intervals = []
        while found and _is_of(cursor, file_id):
            intervals.append(_interval(cursor))
            found = cursor.next()
    return FileStored(_FILE.unpack(row)[0], tuple(intervals))


def gaps(environment: Environment, transaction: Transaction, place: Place) -> list[tuple[int, int]]:
    """Return the bytes of a place that are not stored: start and end of each gap, in order."""
    position, end = place.position, place.position + place.length
    missing = []
    with transaction.cursor(environment.places) as cursor:
        for start, stop in _touching(cursor, place):
            if start > position:
                missing.append((position, min(start, end)))
            position = stop
    if position < end:
        missing.append((position, end))
    return missing


def add(environment: Environment, transaction: Transaction, block: FilePlace, first_offset: int) -> None:
    """Note that a block is stored, the first of its lines at ``first_offset``."""
    place = block.place
    start, end = place.position, place.position + place.length
    with transaction.cursor(environment.places) as cursor:
        for low, high in list(_touching(cursor, place)):
            start, end = min(start, low), max(end, high)
            transaction.delete(place.file_id + _START.pack(low), db=environment.places)
    transaction.put(place.file_id + _START.pack(start), _END.pack(end), db=environment.places)
    _set_newest(environment, transaction, block, first_offset)


def forget_oldest(environment: Environment, transaction: Transaction, max_files: int) -> int:
    """Delete the rows of the files that were stored longest ago, beyond the bounds; return how many files."""
    forgotten = 0
    while forgotten < MAX_FORGOTTEN and _are_too_many(environment, transaction, max_files):
        with transaction.cursor(environment.files) as oldest:
            oldest.first()
            file_id = bytes(oldest.value())
            oldest.delete()
        with transaction.cursor(environment.places) as cursor:
            found = cursor.set_range(file_id)
            while found and bytes(cursor.key()[:FILE_ID_BYTES]) == file_id:
                # Deleting moves the cursor to the next entry.
                found = cursor.delete()
        forgotten += 1
    return forgotten


def _are_too_many(environment: Environment, transaction: Transaction, max_files: int) -> bool:
    files, rows = (transaction.stat(table)["entries"] for table in (environment.files, environment.places))
    return bool(files > max_files or rows > ROWS_PER_FILE * max_files)


def _set_newest(environment: Environment, transaction: Transaction, block: FilePlace, first_offset: int) -> None:
    file_id = block.place.file_id
    before = transaction.get(file_id, db=environment.places)
    if before is not None:
        transaction.delete(_START.pack(_FILE.unpack(before)[1]), db=environment.files)
    transaction.put(file_id, _FILE.pack(block.file_size, first_offset), db=environment.places)
    transaction.put(_START.pack(first_offset), file_id, db=environment.files)


def _touching(cursor: Cursor, place: Place) -> Iterator[tuple[int, int]]:
    """Yield the stored intervals of the file that overlap a place or touch it, in order."""
    file_id, end = place.file_id, place.position + place.length
    found = cursor.set_range(file_id + _START.pack(place.position))
    # The interval before may reach up to the place.
    has_one_before = cursor.prev() if found else cursor.last()
    if has_one_before and not (_is_of(cursor, file_id) and _interval(cursor)[1] >= place.position):
        has_one_before = False
        found = cursor.next()
    elif found and not has_one_before:
        # A failed step may have moved the cursor.
        found = cursor.first()
    found = found or has_one_before
    while found and _is_of(cursor, file_id):
        start, stop = _interval(cursor)
        if start > end:
            return
        yield start, stop
        found = cursor.next()


def _is_of(cursor: Cursor, file_id: bytes) -> bool:
    key = bytes(cursor.key())
    return len(key) == _INTERVAL_KEY_BYTES and key.startswith(file_id)


def _interval(cursor: Cursor) -> tuple[int, int]:
    start = _START.unpack_from(cursor.key(), FILE_ID_BYTES)[0]
    return start, _END.unpack(cursor.value())[0]
