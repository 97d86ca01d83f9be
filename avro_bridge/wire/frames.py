"""Frames: reads and writes the messages of Avro's Netty transport in a byte stream.

Captured from Flume 1.9.0 and 1.11.0, the same in both directions::

    0        4        8        12
    +--------+--------+--------+- - - - - -+--------+- - - -
    | serial | count  | length | length    | length | bytes     count times; all int32, big endian
    |        |        |        | bytes     |        |
    +--------+--------+--------+- - - - - -+--------+- - - -

A message is all buffers of a frame joined; a value may cross from one buffer to the next. Flume puts handshake,
metadata and name into the first buffer and cuts the parameters every 8,192 bytes. A reply carries its request's serial.
A frame has no magic number, no terminator and no total size, so the sum of the lengths is checked before each buffer.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avro_bridge.errors import FrameError
from avro_bridge.wire.kernels import copy

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from avro_bridge.wire.limits import WireLimits

FLUME_BUFFER_SIZE = 8192
"""Where Flume's client cuts the parameters of a call."""

_HEAD = struct.Struct(">iI")
_LENGTH = struct.Struct(">I")
_SMALLEST_BUFFER = 4096
_NOTHING = np.empty(0, np.uint8)


@dataclass(slots=True)
class Frame:
    """One message: ``buffer[start:]``. The caller may use the ``start`` bytes in front of it."""

    serial: int
    buffer: bytearray
    start: int


def encode_frame(serial: int, *buffers: bytes) -> bytes:
    """Return a frame of these buffers. Give at least one: Flume's client misreads the stream after an empty frame."""
    parts = [_HEAD.pack(serial, len(buffers))]
    for buffer in buffers:
        parts += (_LENGTH.pack(len(buffer)), buffer)
    return b"".join(parts)


class FrameReader:
    """Collects the frames of one connection: :meth:`feed` bytes, then call :meth:`next_frame` until it is None.

    ============  ==========================================  =============================================
    state         left by                                     memory held
    ============  ==========================================  =============================================
    between       8 bytes of head                             at most 7 bytes
    in a frame    the last byte of its last buffer            headroom + at most twice what arrived + 4 KiB
    refused       never: every call raises the same error     nothing
    ============  ==========================================  =============================================

    Args:
        limits: ``max_frame_bytes`` and ``max_buffers`` count here.
        headroom: free bytes in front of each message.
    """

    def __init__(self, limits: WireLimits, headroom: int = 0) -> None:
        self._limits = limits
        self._headroom = headroom
        self._frames: deque[Frame] = deque()
        self._error: FrameError | None = None
        self._carried = b""
        self._serial = 0
        self._message: bytearray | None = None
        self._target = _NOTHING
        self._state = np.zeros(copy.STATE_SIZE, np.int64)
        self._last_size = 0

    @property
    def in_frame(self) -> bool:
        """Whether the received bytes end inside a frame."""
        return self._message is not None or bool(self._carried)

    def feed(self, data: Buffer) -> None:
        """Process received bytes. They are copied, so the caller may reuse its buffer at once.

        Malformed bytes raise nothing here: :meth:`next_frame` first returns the frames before them.
        """
        view = memoryview(data).cast("B")
        source = np.frombuffer(view, np.uint8)
        position = 0
        while self._error is None:
            if self._message is not None and not self._carried:
                position, used_up = self._join(source, position)
                if used_up:
                    self._carried = bytes(view[position:])
                    return
                continue
            size = _HEAD.size if self._message is None else _LENGTH.size
            missing = size - len(self._carried)
            piece = bytes(view[position : position + missing])
            head = self._carried + piece
            if len(piece) < missing:
                self._carried = head
                return
            position += missing
            self._carried = b""
            if self._message is None:
                self._begin(*_HEAD.unpack(head))
            else:
                # A length that was cut between two pieces is passed to the kernel as a whole.
                self._join(np.frombuffer(head, np.uint8), 0)

    def next_frame(self) -> Frame | None:
        """Return the next complete frame, or None when more bytes are needed.

        Raises:
            FrameError: the bytes after the last complete frame are malformed or over a limit. Every later call raises
                it again.
        """
        if self._frames:
            return self._frames.popleft()
        if self._error is not None:
            raise self._error
        return None

    def _begin(self, serial: int, count: int) -> None:
        if count > self._limits.max_buffers:
            self._refuse(f"a frame announces {count} buffers where {self._limits.max_buffers} are allowed")
            return
        self._serial = serial
        # The total size is not announced. Frames of one client are alike, so memory is taken for one like the last
        # frame that this peer has really sent; more only as bytes arrive.
        likely = max(self._last_size + self._last_size // 4, _SMALLEST_BUFFER)
        # Flume's buffers have 8 KiB at most, so a frame of few buffers is small.
        self._reserve(min(likely, count * FLUME_BUFFER_SIZE))
        self._state[copy.BUFFERS_LEFT] = count
        self._state[copy.BUFFER_BYTES_LEFT] = 0
        self._state[copy.MESSAGE_BYTES_LEFT] = self._limits.max_frame_bytes
        self._state[copy.WRITTEN] = self._headroom

    def _reserve(self, size: int) -> None:
        self._message = bytearray(self._headroom + size)
        self._target = np.frombuffer(self._message, np.uint8)

    def _join(self, source: NDArray[np.uint8], position: int) -> tuple[int, bool]:
        """Copy the part of the current frame that ``source`` has; end the frame when it is complete or refused.

        Returns:
            The position reached, and whether ``source`` ended before the frame.
        """
        while True:
            stop, position = copy.join_buffers(source, position, self._target, self._state)
            if stop == copy.GROW:
                self._grow()
                continue
            if stop == copy.DONE:
                self._finish()
            elif stop != copy.MORE:
                (length,) = _LENGTH.unpack(source[position - _LENGTH.size : position].tobytes())
                room = self._state[copy.MESSAGE_BYTES_LEFT]
                self._refuse(
                    f"a buffer announces {length} bytes where {room} of {self._limits.max_frame_bytes} are left"
                    if stop == copy.TOO_LONG
                    else f"a buffer announces {length - 2**32} bytes"
                )
            return position, stop == copy.MORE

    def _grow(self) -> None:
        old = self._target
        # Doubling keeps the copying linear, and the memory within twice of what the peer has really sent.
        size = max(2 * (len(old) - self._headroom), _SMALLEST_BUFFER)
        self._reserve(min(size, self._limits.max_frame_bytes))
        self._target[: len(old)] = old

    def _finish(self) -> None:
        message = self._release()
        del message[self._state[copy.WRITTEN] :]
        self._last_size = len(message) - self._headroom
        self._frames.append(Frame(self._serial, message, self._headroom))

    def _refuse(self, text: str) -> None:
        self._release()
        self._error = FrameError(text)

    def _release(self) -> bytearray:
        """Return the message and drop the array over it: a bytearray cannot be resized while an array uses it."""
        message = self._message or bytearray()
        self._message = None
        self._target = _NOTHING
        return message
