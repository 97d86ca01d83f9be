"""The copying kernels, called directly: frames cut anywhere, stretches out of bounds, known hashes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.wire.kernels import copy


def array(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8)


def numbers(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


@given(buffers=st.lists(st.binary(max_size=30), max_size=6), data=st.data())
def test_buffers_are_joined_wherever_the_stream_is_cut(buffers: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(struct.pack(">I", len(buffer)) + buffer for buffer in buffers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    message = np.zeros(sum(map(len, buffers)), np.uint8)
    state = numbers(len(buffers), 0, 1000, 0)
    carried, stop = b"", copy.MORE
    for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        piece = carried + stream[low:high]
        stop, position = copy.join_buffers(array(piece), 0, message, state)
        carried = piece[position:]
        if stop == copy.DONE:
            break
        assert stop == copy.MORE
        assert len(carried) < 4
    assert stop == copy.DONE
    assert message.tobytes() == b"".join(buffers)


def test_a_full_message_asks_to_grow_and_goes_on_where_it_stopped() -> None:
    stream = struct.pack(">I", 5) + b"abcde"
    state = numbers(1, 0, 5, 0)
    small, large = np.zeros(3, np.uint8), np.zeros(5, np.uint8)
    stop, position = copy.join_buffers(array(stream), 0, small, state)
    assert (stop, position, small.tobytes()) == (copy.GROW, 7, b"abc")
    large[:3] = small
    assert copy.join_buffers(array(stream), position, large, state) == (copy.DONE, 9)
    assert large.tobytes() == b"abcde"


@pytest.mark.parametrize(
    ("length", "left", "stop"),
    [(0x80000000, 10, copy.NEGATIVE_LENGTH), (0xFFFFFFFF, 10, copy.NEGATIVE_LENGTH), (11, 10, copy.TOO_LONG)],
)
def test_a_length_is_checked_before_anything_is_copied(length: int, left: int, stop: int) -> None:
    state = numbers(1, 0, left, 0)
    assert copy.join_buffers(array(struct.pack(">I", length)), 0, np.zeros(4, np.uint8), state) == (stop, 4)


def test_stretches_are_gathered_in_the_given_order() -> None:
    target = np.zeros(5, np.uint8)
    assert copy.gather(array(b"abcdef"), numbers(4, 0, 3), numbers(2, 3, 0), target)
    assert target.tobytes() == b"efabc"


@pytest.mark.parametrize(
    ("start", "length", "room"), [(-1, 1, 9), (0, -1, 9), (0, 7, 9), (6, 1, 9), (2**62, 2**62, 9), (0, 3, 2)]
)
def test_a_stretch_outside_of_source_or_target_is_refused(start: int, length: int, room: int) -> None:
    assert not copy.gather(array(b"abcdef"), numbers(start), numbers(length), np.zeros(room, np.uint8))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", 0x811C9DC5),
        (b"a", 0xE40C292C),
        (b"foobar", 0xBF9CF968),
        (b"\xff", ((0x811C9DC5 ^ 0xFF) * 0x01000193) % 2**32),
    ],
)
def test_hashes_are_fnv_1a(text: bytes, value: int) -> None:
    """The first three values are those of FNV's published test suite."""
    hashes = numbers(7)
    copy.hash_spans(array(b"--" + text), np.array([[2, len(text)]]), hashes)
    assert hashes.tolist() == [value]


def test_no_value_and_a_stretch_out_of_bounds_have_no_hash() -> None:
    hashes = numbers(7, 7, 7)
    copy.hash_spans(array(b"abc"), np.array([[-1, -1], [1, 3], [-2, 1]]), hashes)
    assert hashes.tolist() == [-1, -1, -1]
