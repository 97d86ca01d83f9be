"""Kernels that copy: join the buffers of a frame, gather parts of a payload, and hash values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.common.kernels import BYTES, NUMBERS, TABLE, WRITABLE_BYTES, kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Numbers = NDArray[np.int64]

BUFFERS_LEFT = 0
BUFFER_BYTES_LEFT = 1
MESSAGE_BYTES_LEFT = 2
WRITTEN = 3
STATE_SIZE = 4

FNV_BASIS = 0x811C9DC5
FNV_PRIME = 0x01000193
LOWER_32_BITS = 0xFFFFFFFF

MORE = 0
GROW = 1
DONE = 2
NEGATIVE_LENGTH = 3
TOO_LONG = 4


@kernel(f"UniTuple(int64, 2)({BYTES}, int64, {WRITABLE_BYTES}, {NUMBERS})")
def join_buffers(source: Bytes, position: int, message: Bytes, state: Numbers) -> tuple[int, int]:
    """Copy the received part of a frame's buffers to the message under construction.

    Args:
        source: bytes as received.
        position: where to continue in ``source``.
        message: the message under construction, with room behind what is written.
        state: number of buffers whose length was not read yet, bytes missing of the current buffer, bytes by which the
            message may still grow, and where to write in ``message``; updated.

    Returns:
        Why it stopped, and the position reached: MORE (``source`` is used up, except for at most three bytes of a
        length), GROW (``message`` is full), DONE (the message is complete), or NEGATIVE_LENGTH or TOO_LONG (for the
        length right before the position).
    """
    end = len(source)
    while True:
        if state[BUFFER_BYTES_LEFT] > 0:
            wanted = state[BUFFER_BYTES_LEFT]
            written = state[WRITTEN]
            size = min(wanted, end - position, len(message) - written)
            # numba copies a slice byte by byte, but vectorises a loop that starts at 0.
            origin = source[position : position + size]
            target = message[written : written + size]
            for each in range(size):
                target[each] = origin[each]
            position += size
            state[WRITTEN] = written + size
            state[BUFFER_BYTES_LEFT] = wanted - size
            if size < wanted:
                return (MORE, position) if position == end else (GROW, position)
        if state[BUFFERS_LEFT] == 0:
            return DONE, position
        if end - position < 4:
            return MORE, position
        length = 0
        for ahead in range(4):
            length = (length << 8) | int(source[position + ahead])
        position += 4
        # The sender is Java, whose lengths are signed: the highest bit means a negative one.
        if length >= 0x80000000:
            return NEGATIVE_LENGTH, position
        if length > state[MESSAGE_BYTES_LEFT]:
            return TOO_LONG, position
        state[BUFFERS_LEFT] -= 1
        state[BUFFER_BYTES_LEFT] = length
        state[MESSAGE_BYTES_LEFT] -= length


@kernel(f"boolean({BYTES}, {NUMBERS}, {NUMBERS}, {WRITABLE_BYTES})")
def gather(source: Bytes, starts: Numbers, lengths: Numbers, target: Bytes) -> bool:
    """Copy parts of ``source`` one behind the other into ``target``.

    Returns:
        False if a part lies outside of ``source`` or ``target`` is too small.
    """
    written = 0
    for each in range(len(starts)):
        start = starts[each]
        length = lengths[each]
        # Compared by subtraction, because a sum with a forged length could overflow 64 bits and look small.
        if start < 0 or length < 0 or start > len(source) - length or written > len(target) - length:
            return False
        for ahead in range(length):
            target[written + ahead] = source[start + ahead]
        written += length
    return True


@kernel(f"void({BYTES}, {TABLE}, {NUMBERS})")
def hash_spans(data: Bytes, spans: Numbers, hashes: Numbers) -> None:
    """Hash parts of ``data`` with 32-bit FNV-1a, whose steps all fit into a signed number of 64 bits.

    Args:
        data: the bytes.
        spans: start and length of each part; a negative length means that it has none.
        hashes: filled, one for each row of ``spans``; -1 where ``spans`` has no part.
    """
    for row in range(len(spans)):
        start = spans[row, 0]
        length = spans[row, 1]
        if start < 0 or length < 0 or start + length > len(data):
            hashes[row] = -1
            continue
        value = FNV_BASIS
        for position in range(start, start + length):
            value = ((value ^ (int(data[position]) & 0xFF)) * FNV_PRIME) & LOWER_32_BITS
        hashes[row] = value
