"""The newest transaction that a source has committed to a file channel, read from the channel's files.

Needed after an agent was killed (:mod:`flume.agent.recovery`); Flume must not run meanwhile. As Flume 1.11.0 writes it,
each file ``data/log-N`` holds records one behind the other, the rest of it is filled with other bytes::

    byte 0        1             5          6                              29             29 + body
         +--------+-------------+----------+------------------------------+--------------+-------------------+
         | 0x7f   | length      | 0x17     | 0d type (i32) 11 transaction | body length  | footer: length 0  |
         |        | i32, big-e. |          | (i64) 19 write order (i64)   | varint, body |                   |
         +--------+-------------+----------+------------------------------+--------------+-------------------+
                  the length counts what follows it

The three parts of a record are Protocol Buffers messages with their length before them; fixed numbers in them are
little-endian. Types: 1 put, 2 take, 3 rollback, 4 commit. The body of a put is ``0a`` event, that of a commit ``0d``
and the type of what it commits; an event is ``0a`` header (``0a`` key, ``12`` value) as often as there are headers, and
``12`` body. Beside each file ``log-N.meta`` says where the last checkpoint was, which is where a record begins::

    byte 0        1                 6                11                            20
         +--------+-----------------+----------------+-----------------------------+-----
         | 0x2e   | 0d version      | 15 file number | 19 position of the          | ...
         |        | (i32) = 3       | (i32)          | checkpoint (i64)            |
         +--------+-----------------+----------------+-----------------------------+-----

Source: bytes captured from a real agent (tests/flume/agent/test_file_channel.py).
"""

from __future__ import annotations

import mmap
import struct
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flume.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RECORD: Final = 0x7F
PUT, ROLLBACK, COMMIT = 1, 3, 4

_LENGTH: Final = struct.Struct(">i")
# Tags and all, so that one comparison shows whether this is the layout that is known here.
_HEAD: Final = struct.Struct("<BBiBqBq")
_TAGS: Final = (23, 0x0D, 0x11, 0x19)
_META: Final = struct.Struct("<BBiBiBq")
_META_TAGS: Final = (46, 0x0D, 3, 0x15, 0x19)
_COMMIT_OF_PUTS: Final = b"\x05\x0d\x01\x00\x00\x00"
_LENGTH_DELIMITED: Final = 2


@dataclass(frozen=True)
class Put:
    """One event as it lies in the channel."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class _Span:
    """Where the body of a record lies."""

    data: mmap.mmap
    start: int
    end: int


@dataclass
class _Found:
    """What was found so far: puts by their transaction, and the newest transaction of puts that was committed."""

    open_puts: dict[int, list[_Span]] = field(default_factory=dict)
    commits: int = 0
    newest_order: int = -1
    newest: list[_Span] = field(default_factory=list)


def newest_puts(data_folder: Path) -> list[Put]:
    """Return the events of the newest committed transaction of puts, in order; none if there is no such transaction.

    A source writes one transaction after the other. So of two that were committed behind the last checkpoint the
    second one began behind it as well, and the newest file is read from there on; otherwise all is read.

    Raises:
        RecoveryError: a file is not as described above.
    """
    files = sorted(data_folder.glob("log-*[0-9]"), key=lambda each: int(each.name.removeprefix("log-")))
    with ExitStack() as opened:
        found = _scan(files[-1:], opened, from_checkpoint=True)
        if found.commits < 2:
            found = _scan(files, opened, from_checkpoint=False)
        return [_event(span.data[span.start : span.end]) for span in found.newest]


def _scan(files: Sequence[Path], opened: ExitStack, *, from_checkpoint: bool) -> _Found:
    found = _Found()
    for path in files:
        try:
            file = opened.enter_context(path.open("rb"))
            data = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise RecoveryError(f"{path}: cannot be read: {error}") from error
        _read(path, data, _checkpoint(path) if from_checkpoint else 0, found)
    return found


def _checkpoint(path: Path) -> int:
    """Return where the last checkpoint was; 0, the first record, where that is not known."""
    try:
        length, first, version, second, _, third, position = _META.unpack_from(
            path.with_name(path.name + ".meta").read_bytes()
        )
    except (OSError, struct.error):
        return 0
    return position if (length, first, version, second, third) == _META_TAGS else 0


def _read(path: Path, data: mmap.mmap, position: int, found: _Found) -> None:
    """Go through the records from ``position`` on.

    Raises:
        RecoveryError: one is of an unknown layout.
    """
    size = len(data)
    # Behind the last record, and where a killed agent had not written one to its end, stands another byte.
    while 0 <= position < size - _LENGTH.size - 1 and data[position] == RECORD:
        (length,) = _LENGTH.unpack_from(data, position + 1)
        start, position = position + 5, position + 5 + length
        if length < _HEAD.size or position > size:
            return
        tag, first, kind, second, transaction, third, order = _HEAD.unpack_from(data, start)
        if (tag, first, second, third) != _TAGS:
            raise RecoveryError(f"{path}: the record at byte {start - 5} is of an unknown layout")
        start += _HEAD.size
        if kind == PUT:
            found.open_puts.setdefault(transaction, []).append(_Span(data, start, position))
        elif kind == ROLLBACK:
            found.open_puts.pop(transaction, None)
        elif kind == COMMIT and data[start : start + len(_COMMIT_OF_PUTS)] == _COMMIT_OF_PUTS:
            puts = found.open_puts.pop(transaction, [])
            found.commits += 1
            if order > found.newest_order:
                found.newest_order, found.newest = order, puts


def _event(put: bytes) -> Put:
    """Decode a put.

    Raises:
        RecoveryError: it is not as described above.
    """
    try:
        length, start = _varint(put, 0)
        fields = dict(_fields(put[start : start + length]))
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
        raise RecoveryError(f"an event in the file channel cannot be decoded: {error!r}") from error


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
