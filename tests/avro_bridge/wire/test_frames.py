"""Frames: any message in any buffers in any pieces; sizes refused before they are taken."""

from __future__ import annotations

import itertools
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import FrameError
from avro_bridge.wire.frames import FrameReader, encode_frame
from avro_bridge.wire.limits import WireLimits

LIMITS = WireLimits()
SMALL = WireLimits(max_frame_bytes=1000, max_buffers=10)

messages = st.lists(st.binary(max_size=300), max_size=6)
serials = st.integers(-(2**31), 2**31 - 1)


def read_all(reader: FrameReader) -> list[tuple[int, bytes]]:
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append((frame.serial, bytes(frame.buffer[frame.start :])))
    return found


@given(st.lists(st.tuples(serials, messages), max_size=5), st.integers(0, 100), st.lists(st.integers(0, 3000)))
def test_what_is_framed_is_read_in_any_pieces(
    sent: list[tuple[int, list[bytes]]], headroom: int, cuts: list[int]
) -> None:
    reader = FrameReader(LIMITS, headroom)
    stream = b"".join(encode_frame(serial, *buffers) for serial, buffers in sent)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    got = []
    for low, high in itertools.pairwise(edges):
        reader.feed(stream[low:high])
        got += read_all(reader)
    assert got == [(serial, b"".join(buffers)) for serial, buffers in sent]
    assert not reader.in_frame


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 100_000, 300_000])
def test_large_messages_keep_their_bytes_and_their_headroom(size: int) -> None:
    message = bytes(each * 7 & 0xFF for each in range(size))
    frame = encode_frame(7, *(message[cut : cut + 8192] for cut in range(0, size, 8192)))
    reader = FrameReader(LIMITS, 40)
    # Twice, since the second frame is given room by the size of the first; then one that is much larger.
    for expected, stream in ((message, frame), (message, frame), (message * 3, encode_frame(7, message * 3))):
        for low in range(0, len(stream), 50_000):
            reader.feed(stream[low : low + 50_000])
        got = reader.next_frame()
        assert got is not None
        assert got.start == 40
        assert bytes(got.buffer[40:]) == expected
        got.buffer += b"can grow"


def test_the_receive_buffer_may_be_reused_at_once() -> None:
    stream = encode_frame(1, b"abc", b"", b"defg")
    reader = FrameReader(LIMITS)
    received = bytearray(5)
    for low in range(0, len(stream), 5):
        piece = stream[low : low + 5]
        received[: len(piece)] = piece
        with memoryview(received) as view:
            reader.feed(view[: len(piece)])
        received[:] = b"\xff" * 5
    assert read_all(reader) == [(1, b"abcdefg")]


def test_a_frame_of_no_buffers_is_an_empty_message() -> None:
    reader = FrameReader(LIMITS)
    reader.feed(struct.pack(">ii", 3, 0) + encode_frame(4, b"x"))
    assert read_all(reader) == [(3, b""), (4, b"x")]


def test_every_prefix_needs_more() -> None:
    stream = encode_frame(1, b"abc", b"", b"defg")
    for end in range(len(stream)):
        reader = FrameReader(LIMITS)
        reader.feed(stream[:end])
        assert reader.next_frame() is None
        assert reader.in_frame == (end > 0)


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (struct.pack(">ii", 1, 11), "11 buffers where 10 are allowed"),
        (struct.pack(">ii", 1, -1), "4294967295 buffers"),
        (struct.pack(">iii", 1, 1, 1001), "1001 bytes where 1000 of 1000 are left"),
        (struct.pack(">iii", 1, 2, 600) + bytes(600) + struct.pack(">i", 401), "401 bytes where 400 of 1000 are left"),
        (struct.pack(">iii", 1, 1, -1), "announces -1 bytes"),
        (struct.pack(">iii", 1, 1, -(2**31)), "announces -2147483648 bytes"),
    ],
)
def test_a_size_is_refused_when_it_is_announced(stream: bytes, text: str) -> None:
    for pieces in ([stream], [stream[each : each + 1] for each in range(len(stream))]):
        reader = FrameReader(SMALL)
        for piece in pieces:
            reader.feed(piece)
        with pytest.raises(FrameError, match=text):
            reader.next_frame()


def test_frames_before_the_fault_are_given_first_and_the_fault_stays() -> None:
    reader = FrameReader(SMALL)
    reader.feed(encode_frame(1, b"good") + struct.pack(">ii", 2, 99) + encode_frame(3, b"lost"))
    frame = reader.next_frame()
    assert frame is not None
    assert frame.serial == 1
    for _ in range(2):
        with pytest.raises(FrameError):
            reader.next_frame()
        reader.feed(encode_frame(4, b"ignored"))


def test_exactly_the_limit_is_accepted() -> None:
    reader = FrameReader(SMALL)
    reader.feed(encode_frame(1, *[bytes(100)] * 10))
    assert read_all(reader) == [(1, bytes(1000))]


def test_announced_sizes_take_no_memory() -> None:
    reader = FrameReader(LIMITS)
    head = struct.pack(">iii", 1, LIMITS.max_buffers, LIMITS.max_frame_bytes)
    reader.feed(encode_frame(0, b"warm"))
    tracemalloc.start()
    try:
        reader.feed(head + bytes(10_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.in_frame
    assert peak < 200_000
