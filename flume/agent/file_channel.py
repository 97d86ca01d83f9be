"""Reads from a file channel's files which transaction a source has committed last.

:mod:`flume.agent.recovery` needs it after an agent was killed; no agent may run meanwhile. Flume 1.11.0 writes records
one after the other into each file ``data/log-N``; the rest of the file is padding::

    byte 0        1             5          6                              29             29 + body
         +--------+-------------+----------+------------------------------+--------------+-------------------+
         | 0x7f   | length      | 0x17     | 0d type (i32) 11 transaction | body length  | footer: length 0  |
         |        | i32, big-e. |          | (i64) 19 write order (i64)   | varint, body |                   |
         +--------+-------------+----------+------------------------------+--------------+-------------------+
                  the length counts the bytes after it

The three parts of a record are Protocol Buffers messages, each with its length in front; fixed-size numbers in them are
little-endian. Types: 1 put, 2 take, 3 rollback, 4 commit. The body of a put is ``0a`` event; the body of a commit is
``0d`` and the type of what it commits. An event is one ``0a`` header (``0a`` key, ``12`` value) for each header, then
``12`` body. The file ``log-N.meta`` holds the position of the last checkpoint, which is the start of a record::

    byte 0        1                 6                11                            20
         +--------+-----------------+----------------+-----------------------------+-----
         | 0x2e   | 0d version      | 15 file number | 19 position of the          | ...
         |        | (i32) = 3       | (i32)          | checkpoint (i64)            |
         +--------+-----------------+----------------+-----------------------------+-----

The layout was taken from bytes of a real agent (tests/flume/agent/test_file_channel.py).
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
# With the Protocol Buffers tags, so that one comparison shows whether a record has the layout above.
_HEAD: Final = struct.Struct("<BBiBqBq")
_TAGS: Final = (23, 0x0D, 0x11, 0x19)
_META: Final = struct.Struct("<BBiBiBq")
_META_TAGS: Final = (46, 0x0D, 3, 0x15, 0x19)
_COMMIT_OF_PUTS: Final = b"\x05\x0d\x01\x00\x00\x00"
_LENGTH_DELIMITED: Final = 2


@dataclass(frozen=True)
class Put:
    """One event in the channel."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class _Span:
    """The position of a record's body."""

    data: mmap.mmap
    start: int
    end: int


@dataclass
class _Scan:
    """State of a scan: puts of open transactions, and the newest committed transaction of puts."""

    open_puts: dict[int, list[_Span]] = field(default_factory=dict)
    commits: int = 0
    newest_order: int = -1
    newest: list[_Span] = field(default_factory=list)


def newest_puts(data_folder: Path) -> list[Put]:
    """Return the events of the newest committed transaction of puts, in order; an empty list without one.

    Raises:
        RecoveryError: a file has another layout than the one above.
    """
    files = sorted(data_folder.glob("log-*[0-9]"), key=lambda each: int(each.name.removeprefix("log-")))
    with ExitStack() as opened:
        # A source writes one transaction after the other. So if two were committed after the last checkpoint, all puts
        # of the second one are after it too, and the rest of the files (gigabytes) need not be read.
        scan = _scan(files[-1:], opened, from_checkpoint=True)
        if scan.commits < 2:
            scan = _scan(files, opened, from_checkpoint=False)
        return [_event(span.data[span.start : span.end]) for span in scan.newest]


def _scan(files: Sequence[Path], opened: ExitStack, *, from_checkpoint: bool) -> _Scan:
    scan = _Scan()
    for path in files:
        try:
            file = opened.enter_context(path.open("rb"))
            data = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise RecoveryError(f"{path}: cannot be read: {error}") from error
        _read(path, data, _checkpoint(path) if from_checkpoint else 0, scan)
    return scan


def _checkpoint(path: Path) -> int:
    """Return the position of the last checkpoint; 0, the first record, if it is unknown."""
    try:
        length, first, version, second, _, third, position = _META.unpack_from(
            path.with_name(path.name + ".meta").read_bytes()
        )
    except (OSError, struct.error):
        return 0
    return position if (length, first, version, second, third) == _META_TAGS else 0


def _read(path: Path, data: mmap.mmap, position: int, scan: _Scan) -> None:
    """Scan the records from ``position`` on.

    Raises:
        RecoveryError: a record has an unknown layout.
    """
    size = len(data)
    # The loop ends at the padding after the last record, or at a record that a killed agent did not complete.
    while 0 <= position < size - _LENGTH.size - 1 and data[position] == RECORD:
        (length,) = _LENGTH.unpack_from(data, position + 1)
        start, position = position + 5, position + 5 + length
        if length < _HEAD.size or position > size:
            return
        tag, first, kind, second, transaction, third, order = _HEAD.unpack_from(data, start)
        if (tag, first, second, third) != _TAGS:
            raise RecoveryError(
                f"{path}: the record at byte {start - 5} has an unknown layout; this reads channels of Flume 1.11"
            )
        start += _HEAD.size
        if kind == PUT:
            scan.open_puts.setdefault(transaction, []).append(_Span(data, start, position))
        elif kind == ROLLBACK:
            scan.open_puts.pop(transaction, None)
        elif kind == COMMIT and data[start : start + len(_COMMIT_OF_PUTS)] == _COMMIT_OF_PUTS:
            puts = scan.open_puts.pop(transaction, [])
            scan.commits += 1
            # The write order counts the writes of a channel, whichever file they are in.
            if order > scan.newest_order:
                scan.newest_order, scan.newest = order, puts


def _event(put: bytes) -> Put:
    """Decode a put.

    Raises:
        RecoveryError: the put has another layout than the one above.
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
    """Yield number and bytes of the length-delimited fields, up to the first field of another kind.

    In a put that field is the checksum, which is the last one.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7 != _LENGTH_DELIMITED:
            return
        length, position = _varint(message, position)
        if position + length > len(message):
            raise ValueError("a field extends beyond its message")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a varint (seven bits a byte, lowest first) and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
