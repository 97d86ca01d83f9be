"""Which events are blocks, and what their headers must say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import BlockError
from avro_bridge.wire.blocks import file_id_text, find_blocks, line_start, parse_file_id
from tests.support.avro_events import Event, events_lists, write
from tests.support.blocks import FILE_ID, block_event, cut_line_event

CONTENT = b"one\ntwo\r\n\nlast"


def found(*events: Event) -> list[tuple[int, int, int, int, int]]:
    payload = write(events)
    blocks = find_blocks(bytearray(payload), len(events))
    assert all(payload[block.body_start : block.body_end] == events[block.number][1] for block in blocks)
    return [(each.number, each.position, each.length, each.file_size, each.lines) for each in blocks]


def test_blocks_are_found_among_other_events() -> None:
    events = [({"id": "x"}, b"a line"), block_event(CONTENT, 0, 9), ({}, b"headrace.file"), block_event(CONTENT, 9, 14)]
    assert found(*events) == [(1, 0, 9, 14, 2), (3, 9, 5, 14, 2)]


@given(events_lists)
def test_ordinary_events_are_no_blocks(events: list[Event]) -> None:
    assert found(*events) == []


def test_a_line_that_contains_the_name_of_the_header_is_no_block() -> None:
    assert found(({"id": "x"}, b"GET /?headrace.file=1")) == []


def test_a_cut_line_stands_for_more_than_its_body() -> None:
    event = cut_line_event(bytes(100_000), 0, 100_000, 10)
    (block,) = find_blocks(write([event]), 1)
    assert (block.length, block.body_end - block.body_start, block.lines, block.is_cut_line) == (100_000, 10, 1, True)


def test_the_beginning_of_a_cut_line_is_one_line_whatever_is_in_it() -> None:
    assert found(cut_line_event(b"a\nb\n" * 10, 0, 40, 8)) == [(0, 0, 40, 40, 1)]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"headrace.file": "access.log"}, "headrace.file of a block is b'access.log'.*hexadecimal"),
        ({"headrace.file": file_id_text(FILE_ID).upper()}, "headrace.file .*hexadecimal"),
        ({"headrace.position": "-1"}, "headrace.position of a block is b'-1'"),
        ({"headrace.position": ""}, "headrace.position of a block is b''"),
        ({"headrace.position": "9" * 19}, "at most 18 digits"),
        ({"headrace.position": None}, "headrace.position of a block is missing"),
        ({"headrace.size": None}, "headrace.size of a block is missing"),
        ({"headrace.size": "13"}, "reaches up to byte 14 of a file that has 13"),
        ({"headrace.length": "13"}, "headrace.length of a block is b'13'.*at least the 14 bytes"),
        ({"headrace.length": "15"}, "reaches up to byte 15 of a file that has 14"),
    ],
)
def test_a_block_with_a_wrong_place_is_refused(change: dict[str, str | None], text: str) -> None:
    headers, body = block_event(CONTENT, 0, len(CONTENT))
    changed = {key: value for key, value in (headers | change).items() if value is not None}
    with pytest.raises(BlockError, match=text):
        find_blocks(write([(changed, body)]), 1)


def test_a_block_without_lines_is_refused() -> None:
    with pytest.raises(BlockError, match="its body is empty"):
        find_blocks(write([block_event(CONTENT, 3, 3)]), 1)


def test_an_error_text_shows_only_the_beginning_of_what_a_stranger_sent() -> None:
    headers, body = block_event(CONTENT, 0, 4)
    with pytest.raises(BlockError) as refused:
        find_blocks(write([(headers | {"headrace.file": "x" * 10_000}, body)]), 1)
    assert len(str(refused.value)) < 300


@given(st.binary(min_size=32, max_size=32))
def test_a_file_id_is_read_back(file_id: bytes) -> None:
    assert parse_file_id(file_id_text(file_id).encode()) == file_id


@pytest.mark.parametrize(
    "text", [b"", b"x" * 65, b"0" * 65, b"0" * 32 + b"-" + b"0" * 31, b"0" * 32 + b"-" + b"0" * 33]
)
def test_other_texts_are_no_file_ids(text: bytes) -> None:
    assert parse_file_id(text) is None


def test_a_body_is_cut_at_its_lines() -> None:
    assert [line_start(CONTENT, number) for number in range(5)] == [0, 4, 9, 10, 14]
