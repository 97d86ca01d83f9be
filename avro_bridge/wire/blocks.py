"""Blocks: events that carry whole lines of one file, and the headers that say which.

An event is a block if it has the header ``headrace.file``. Headrace's agents make them
(``flume/jars/java/headrace/BlockDeserializer.java``); a Flume agent on the way passes them on unchanged.

====================  ==============================================================================================
header                value
====================  ==============================================================================================
headrace.file         file id: two times 32 lower-case hexadecimal digits, joined by a hyphen. They stand for the spool
                      folder and for the file (name, size, time and a hash of its ends)
headrace.position     decimal: where the body begins in the file
headrace.size         decimal: size of the file
headrace.length       decimal, on a *cut line* only: bytes of the file that the event stands for. The body has only the
                      beginning of that one line
====================  ==============================================================================================

A block of another program that gets these headers wrong is refused with an error: to store it as an ordinary event
would count a thousand lines as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from avro_bridge.errors import BlockError
from avro_bridge.wire import events
from avro_bridge.wire.kernels import lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from avro_bridge.wire.events import Index

FILE: Final = b"headrace.file"
POSITION: Final = b"headrace.position"
SIZE: Final = b"headrace.size"
LENGTH: Final = b"headrace.length"

FILE_ID_BYTES: Final = 32
SHOWN_BYTES: Final = 80
"""How much of a wrong header's value an error text shows."""

_FILE_ID = re.compile(rb"([0-9a-f]{32})-([0-9a-f]{32})")
# 18 digits stay below the sign bit of 64-bit integers, also when two such numbers are added.
_NUMBER = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class BlockEvent:
    """One event that is a block. Positions without a file are positions in the payload."""

    number: int
    """Which event of the payload it is, from 0."""
    file_id: bytes
    """32 bytes."""
    position: int
    """Where its first byte is in the file."""
    length: int
    """How many bytes of the file it stands for."""
    file_size: int
    headers_start: int
    body_start: int
    body_end: int
    lines: int

    @property
    def is_cut_line(self) -> bool:
        """Whether the body is only the beginning of one line."""
        return self.length > self.body_end - self.body_start


def find_blocks(payload: Buffer, count: int) -> list[BlockEvent]:
    """Return the blocks among the events of a payload that ``count_events`` has accepted, in their order.

    A payload without the text ``headrace.file`` costs one search for it.

    Raises:
        BlockError: the headers of a block are no place; the text names the header.
        EventError: the payload does not hold exactly ``count`` events.
    """
    data = memoryview(payload)
    if not _may_have_blocks(data):
        return []
    index = events.index_events(data, count)
    files = events.header_values(data, index, FILE)
    rows = np.flatnonzero(files[:, 0] >= 0)
    if not len(rows):
        # The text was part of a line.
        return []
    some = index[rows]
    spans = [files[rows], *(events.header_values(data, some, header) for header in (POSITION, SIZE, LENGTH))]
    return [_block(data, int(row), some[each], [every[each] for every in spans]) for each, row in enumerate(rows)]


def parse_file_id(text: bytes) -> bytes | None:
    """Return the 32 bytes of a file id, or None if the text is none."""
    match = _FILE_ID.fullmatch(text)
    return bytes.fromhex((match[1] + match[2]).decode()) if match else None


def file_id_text(file_id: bytes) -> str:
    """Return a file id as the header and the action ``places`` spell it."""
    return f"{file_id[:16].hex()}-{file_id[16:].hex()}"


def count_lines(body: Buffer) -> int:
    """Return how many lines a block's body has."""
    # With the kernels as ordinary Python this is a number of numpy.
    return int(lines.count_lines(np.frombuffer(memoryview(body), np.uint8)))


def line_start(body: Buffer, number: int) -> int:
    """Return where line ``number`` of a block's body begins, counted from 0."""
    return int(lines.line_start(np.frombuffer(memoryview(body), np.uint8), number))


def _may_have_blocks(data: memoryview) -> bool:
    whole = data.obj
    # The search needs the object itself, since a memoryview has none. Nearly always ``data`` is all of it but a prefix.
    if isinstance(whole, bytes | bytearray):
        return whole.find(FILE) >= 0
    return bytes(data).find(FILE) >= 0


def _block(data: memoryview, number: int, row: Index, spans: Sequence[NDArray[np.int64]]) -> BlockEvent:
    file, position, size, length = (_value(data, span) for span in spans)
    headers_start, _headers_end, body_start, body_bytes = (int(each) for each in row)
    file_id = parse_file_id(file) if file is not None else None
    if file_id is None:
        raise _wrong(FILE, file, "two times 32 hexadecimal digits, joined by a hyphen")
    at, file_size = _number(POSITION, position), _number(SIZE, size)
    stands_for = body_bytes if length is None else _number(LENGTH, length)
    if not body_bytes:
        raise BlockError("a block has no lines: its body is empty")
    if stands_for < body_bytes:
        raise _wrong(LENGTH, length, f"at least the {body_bytes} bytes of the body")
    if at + stands_for > file_size:
        raise BlockError(f"a block reaches up to byte {at + stands_for} of a file that has {file_size}")
    body = data[body_start : body_start + body_bytes]
    return BlockEvent(
        number=number,
        file_id=file_id,
        position=at,
        length=stands_for,
        file_size=file_size,
        headers_start=headers_start,
        body_start=body_start,
        body_end=body_start + body_bytes,
        lines=1 if stands_for > body_bytes else count_lines(body),
    )


def _value(data: memoryview, span: NDArray[np.int64]) -> bytes | None:
    start, length = int(span[0]), int(span[1])
    return None if start < 0 else bytes(data[start : start + length])


def _number(header: bytes, text: bytes | None) -> int:
    if text is None or not _NUMBER.fullmatch(text):
        raise _wrong(header, text, "a decimal number of at most 18 digits")
    return int(text)


def _wrong(header: bytes, found: bytes | None, right: str) -> BlockError:
    shown = "missing" if found is None else f"{found[:SHOWN_BYTES]!r}"
    return BlockError(f"header {header.decode()} of a block is {shown}: it must be {right}")
