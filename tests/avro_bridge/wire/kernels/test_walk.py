"""The reading kernels, called directly; ``test_events.py`` compares them with fastavro through their callers."""

from __future__ import annotations

import numpy as np
import pytest

from avro_bridge.wire.avro_primitives import encode_bytes, encode_long
from avro_bridge.wire.kernels import error_codes, walk
from tests.support.avro_events import write

NO_INDEX = np.empty((0, 4), np.int64)
NO_LIMITS = np.array([2**40, 2**40, 2**40])
PAYLOAD = write([({"k": "vw"}, b"abc"), ({}, b""), ({"k": "1", "key": "2"}, b"d")])


def array(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8)


def indexed(payload: bytes, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    index = np.empty((count, 4), np.int64)
    assert walk.walk(array(payload), index, NO_LIMITS) == (error_codes.OK, len(payload), count)
    return index


def test_a_valid_payload_is_walked_to_its_end() -> None:
    assert walk.walk(array(PAYLOAD), NO_INDEX, NO_LIMITS) == (error_codes.OK, len(PAYLOAD), 3)


def test_an_index_locates_headers_and_body_of_each_event() -> None:
    for (start, end, body, length), expected in zip(indexed(PAYLOAD, 3).tolist(), (b"abc", b"", b"d"), strict=True):
        assert PAYLOAD[body : body + length] == expected
        assert PAYLOAD[end : body + length] == encode_bytes(expected)
        assert PAYLOAD[end - 1] == 0, "the end of the header map"
        assert start < end


@pytest.mark.parametrize(
    ("limits", "code", "count"),
    [
        ([2, 99, 99], error_codes.MAX_EVENTS, 0),
        ([3, 11, 99], error_codes.MAX_HEADER_BYTES, 2),
        ([3, 12, 99], error_codes.OK, 3),
        ([3, 99, 1], error_codes.MAX_HEADERS, 2),
        ([3, 99, 2], error_codes.OK, 3),
    ],
)
def test_each_limit_holds_exactly(limits: list[int], code: int, count: int) -> None:
    found, _position, read = walk.walk(array(PAYLOAD), NO_INDEX, np.array(limits))
    assert (found, read) == (code, count)


def test_an_index_with_too_few_rows_is_refused() -> None:
    code, _position, _count = walk.walk(array(PAYLOAD), np.empty((2, 4), np.int64), NO_LIMITS)
    assert code == error_codes.INDEX_MISMATCH


@pytest.mark.parametrize(
    ("payload", "code", "position"),
    [
        (b"", error_codes.TRUNCATED, 0),
        (b"\x80" * 10 + b"\x00", error_codes.OVERFLOW, 0),
        (b"\x02\x00\x01a\x00", error_codes.NEGATIVE, 2),
        (b"\x02\x00\x08ab\x00", error_codes.BEYOND_END, 2),
        (encode_long(2**62) + bytes(40), error_codes.TOO_MANY_ANNOUNCED, 0),
        (b"\x01\x04\x00\x02a\x00", error_codes.BLOCK_SIZE, 5),
        (b"\x02\x02\x02\xff\x00\x00\x00\x00", error_codes.NOT_UTF8, 3),
        (b"\x02\x00\x02a\x00\x00", error_codes.TRAILING, 5),
    ],
)
def test_each_defect_has_its_code_and_position(payload: bytes, code: int, position: int) -> None:
    assert walk.walk(array(payload), NO_INDEX, NO_LIMITS)[:2] == (code, position)


def test_header_text_is_not_checked_again_with_an_index() -> None:
    broken = b"\x02\x02\x02\xff\x00\x00\x00\x00"
    assert walk.walk(array(broken), np.empty((1, 4), np.int64), NO_LIMITS)[0] == error_codes.OK


def test_headers_are_listed_with_a_repeated_key_once() -> None:
    entries_in_two_blocks = encode_long(1) + b"\x02k\x02a" + encode_long(2) + b"\x02x\x02b" + b"\x02k\x02c" + b"\x00"
    payload = b"\x02" + entries_in_two_blocks + b"\x00\x00"
    index = indexed(payload, 1)
    offsets = np.zeros(2, np.int64)
    assert walk.list_headers(array(payload), index, offsets, NO_INDEX) == 3, "an upper bound"
    entries = np.empty((3, 4), np.int64)
    assert walk.list_headers(array(payload), index, offsets, entries) == 2
    assert offsets.tolist() == [0, 2]
    texts = [(payload[a : a + b], payload[c : c + d]) for a, b, c, d in entries[:2].tolist()]
    assert texts == [(b"k", b"c"), (b"x", b"b")]


def test_one_header_is_found_by_its_whole_name() -> None:
    spans = np.empty((3, 2), np.int64)
    assert walk.find_header(array(PAYLOAD), indexed(PAYLOAD, 3), array(b"k"), spans) == error_codes.OK
    assert [PAYLOAD[start : start + length] if start >= 0 else None for start, length in spans.tolist()] == [
        b"vw",
        None,
        b"1",
    ]


@pytest.mark.parametrize("row", [[-1, 5, 0, 0], [0, 2**40, 0, 0]])
def test_an_index_of_another_payload_is_refused(row: list[int]) -> None:
    index = np.array([row])
    mismatch = -error_codes.INDEX_MISMATCH
    assert walk.list_headers(array(PAYLOAD), index, np.zeros(2, np.int64), NO_INDEX) == mismatch
    assert walk.find_header(array(PAYLOAD), index, array(b"k"), np.empty((1, 2), np.int64)) == mismatch
