"""The newest transaction that a source has committed to a file channel, read from the channel's files.

Needed after an agent was killed (:mod:`flume.recovery`); Flume must not run meanwhile. As Flume 1.11.0 writes it, each
file ``data/log-N`` holds records one behind the other, the rest of it is filled with other bytes::

    byte 0        1             5          6                              29             29 + body
         +--------+-------------+----------+------------------------------+--------------+-------------------+
         | 0x7f   | length      | 0x17     | 0d type (i32) 11 transaction | body length  | footer: length 0  |
         |        | i32, big-e. |          | (i64) 19 write order (i64)   | varint, body |                   |
         +--------+-------------+----------+------------------------------+--------------+-------------------+
                  the length counts what follows it

The three parts of a record are Protocol Buffers messages with their length before them; fixed numbers in them are
little-endian. Types: 1 put, 2 take, 3 rollback, 4 commit. The body of a put is ``0a`` event, that of a commit ``0d``
and the type of what it commits; an event is ``0a`` header (``0a`` key, ``12`` value) as often as there are headers, and
``12`` body. Source: bytes captured from a real agent (tests/flume/test_channel_log.py).
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flume.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD: Final = 0x7F
PUT, ROLLBACK, COMMIT = 1, 3, 4

_LENGTH: Final = struct.Struct(">i")
# Tags and all, so that one comparison shows whether this is the layout that is known here.
_HEAD: Final = struct.Struct("<BBiBqBq")
_TAGS: Final = (23, 0x0D, 0x11, 0x19)
_COMMIT_OF_PUTS: Final = b"\x05\x0d\x01\x00\x00\x00"
_LENGTH_DELIMITED: Final = 2


@dataclass(frozen=True)
class Put:
    """One event as it lies in the channel."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class _Record:
    kind: int
    transaction: int
    order: int
    body: bytes


def newest_puts(data_folder: Path) -> list[Put]:
    """Return the events of the newest committed transaction of puts, in order; none if there is no such transaction.

    All files are read, record by record.

    Raises:
        RecoveryError: a file is not as described above.
    """
    open_puts: dict[int, list[_Record]] = {}
    newest: tuple[int, list[_Record]] = (-1, [])
    for path in sorted(data_folder.glob("log-*[0-9]"), key=lambda each: int(each.name.removeprefix("log-"))):
        for record in _records(path):
            if record.kind == PUT:
                open_puts.setdefault(record.transaction, []).append(record)
            elif record.kind in (COMMIT, ROLLBACK):
                puts = open_puts.pop(record.transaction, [])
                if record.kind == COMMIT and record.body.startswith(_COMMIT_OF_PUTS) and record.order > newest[0]:
                    newest = record.order, puts
    return [_event(record) for record in sorted(newest[1], key=lambda each: each.order)]


def _records(path: Path) -> Iterator[_Record]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            position = 0
            # Behind the last record, and where a killed agent had not written one to its end, stands another byte.
            while position + 1 + _LENGTH.size < len(data) and data[position] == RECORD:
                (length,) = _LENGTH.unpack_from(data, position + 1)
                start, position = position + 5, position + 5 + length
                if length < _HEAD.size or position > len(data):
                    return
                tag, first, kind, second, transaction, third, order = _HEAD.unpack_from(data, start)
                if (tag, first, second, third) != _TAGS:
                    raise RecoveryError(f"{path}: the record at byte {start - 5} is of an unknown layout")
                yield _Record(kind, transaction, order, data[start + _HEAD.size : position])
    except (OSError, ValueError) as error:
        raise RecoveryError(f"{path}: cannot be read: {error}") from error


def _event(record: _Record) -> Put:
    """Decode a put.

    Raises:
        RecoveryError: it is not as described above.
    """
    try:
        length, start = _varint(record.body, 0)
        fields = dict(_fields(record.body[start : start + length]))
        headers: dict[str, str] = {}
        body = b""
        for number, value in _fields(fields[1]):
            if number == 1:
                entry = dict(_fields(value))
                headers[entry[1].decode()] = entry[2].decode()
            else:
                body = value
        return Put(headers, body)
    except (KeyError, IndexError, ValueError) as error:
        raise RecoveryError(f"the put with write order {record.order} cannot be decoded: {error!r}") from error


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of the length-delimited fields; what follows the first field of another kind is left out.

    In a put such a field is the checksum, which comes last.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7 != _LENGTH_DELIMITED:
            return
        length, position = _varint(message, position)
        if position + length > len(message):
            raise ValueError("a field reaches beyond its message")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return an unsigned number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
