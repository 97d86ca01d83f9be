"""Events, compared with fastavro for valid payloads and with a table for malformed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_bridge.errors import EventError
from avro_bridge.wire import events
from avro_bridge.wire.avro_primitives import encode_bytes, encode_long
from avro_bridge.wire.limits import WireLimits
from tests.support import avro_events

if TYPE_CHECKING:
    from tests.support.avro_events import Event

LIMITS = WireLimits()
SMALL = WireLimits(max_events=3, max_headers=2, max_header_bytes=20)


def strings(column: events.StringColumn) -> list[bytes]:
    data = column.data.tobytes()
    return [data[low:high] for low, high in zip(column.offsets[:-1], column.offsets[1:], strict=True)]


def gathered(payload: bytes, low: int = 0, high: int | None = None) -> list[Event]:
    """What the kernels find in a payload, with Arrow's help."""
    count = events.count_events(payload, LIMITS)
    index = events.index_events(payload, count)
    high = count if high is None else high
    headers = events.gather_headers(payload, index, low, high)
    columns = [
        pa.StringArray.from_buffers(len(c.offsets) - 1, pa.py_buffer(c.offsets), pa.py_buffer(c.data))
        for c in (headers.keys, headers.values)
    ]
    maps = pa.MapArray.from_arrays(pa.array(headers.offsets), columns[0], columns[1])
    maps.validate(full=True)
    bodies = strings(events.gather_bodies(payload, index, low, high))
    return [(dict(pairs), body) for pairs, body in zip(maps.to_pylist(), bodies, strict=True)]


STRICTER = ("64 bits", "negative", "does not match", "more items than", "beyond the end")
"""For what the kernel refuses a payload that fastavro reads somehow: its numbers and sizes go unchecked there."""


def fault_of(payload: bytes) -> EventError | None:
    try:
        events.count_events(payload, LIMITS)
    except EventError as error:
        return error
    return None


@given(avro_events.events_lists)
def test_what_fastavro_writes_is_read(sent: list[Event]) -> None:
    payload = avro_events.write(sent)
    assert events.count_events(payload, LIMITS) == len(sent)
    assert gathered(payload) == sent


@settings(max_examples=60)
@given(avro_events.blocked_payloads())
def test_any_blocks_are_read_as_fastavro_reads_them(payload: bytes) -> None:
    expected = avro_events.read(payload)
    assert expected is not None
    assert gathered(payload) == expected


@settings(max_examples=60)
@given(avro_events.blocked_payloads(), st.data())
def test_what_fastavro_refuses_is_refused(payload: bytes, data: st.DataObject) -> None:
    mutated = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    expected = avro_events.read(bytes(mutated))
    fault = fault_of(bytes(mutated))
    if fault is None:
        assert gathered(bytes(mutated)) == expected
    else:
        assert expected is None or any(reason in str(fault) for reason in STRICTER)


@given(st.binary(max_size=60))
def test_nothing_but_an_event_error_comes_from_any_bytes(payload: bytes) -> None:
    expected = avro_events.read(payload)
    fault = fault_of(payload)
    if fault is None:
        assert gathered(payload) == expected
    else:
        assert 0 <= fault.position <= len(payload)
        assert expected is None or any(reason in str(fault) for reason in STRICTER)


@given(st.binary(max_size=8))
def test_header_text_is_checked_as_python_does(text: bytes) -> None:
    payload = b"\x02\x02" + encode_bytes(text) + encode_bytes(b"v" + text) + b"\x00\x00\x00"
    try:
        text.decode()
    except UnicodeDecodeError:
        with pytest.raises(EventError, match="UTF-8"):
            events.count_events(payload, LIMITS)
    else:
        assert events.count_events(payload, LIMITS) == 1


EDGE_CHARACTERS = [
    *("\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"),
]
BROKEN_CHARACTERS = [
    *(
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2",
        b"\xc2\x7f",
        b"\xc2\xc0",
        b"\xe0\x9f\xbf",
        b"\xe0\xa0",
        b"\xe1\x80\x7f",
    ),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80", b"\xf1\x80\x80\xc0", b"\xf1\x80\x7f\x80"),
    *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xe2\x82", b"a\xc3"),
]


@pytest.mark.parametrize("text", [*(c.encode() for c in EDGE_CHARACTERS), *BROKEN_CHARACTERS])
def test_the_edges_of_utf8(text: bytes) -> None:
    for around in (text, b"ascii" + text, text + b"ascii", text + text):
        test_header_text_is_checked_as_python_does.hypothesis.inner_test(around)  # type: ignore[attr-defined]  # hypothesis' own way to the plain test


ONE = b"\x02\x00\x02a"
MALFORMED = {
    "nothing": (b"", "middle of a number", 0),
    "no end": (ONE, "middle of a number", 4),
    "no body": (b"\x02\x00", "more items than its bytes", 0),
    "cut body": (b"\x02\x00\x08ab\x00", "beyond the end", 2),
    "negative body length": (b"\x02\x00\x01a\x00", "negative", 2),
    "negative key length": (b"\x02\x02\x01\x00\x00\x00\x00", "negative", 2),
    "cut key": (b"\x02\x02\x40a\x00\x00\x00", "beyond the end", 2),
    "body length of the most": (b"\x02\x00" + encode_long(2**63 - 1) + b"\x00", "beyond the end", 2),
    "huge count": (encode_long(2**62) + bytes(40), "more items than its bytes", 0),
    "lowest count": (encode_long(-(2**63)) + bytes(40), "more items than its bytes", 0),
    "lowest header count": (b"\x02" + encode_long(-(2**63)) + bytes(40), "more items than its bytes", 1),
    "huge header count": (b"\x02" + encode_long(2**40) + bytes(40), "more items than its bytes", 1),
    "eleven byte number": (b"\x80" * 10 + b"\x00", "64 bits", 0),
    "number of 65 bits": (b"\xff" * 9 + b"\x02", "64 bits", 0),
    "junk": (ONE + b"\x00\x00", "after the last event", 5),
    "block size too small": (b"\x01\x04\x00\x02a\x00", "does not match", 5),
    "block size too large": (b"\x01\x08\x00\x02a\x00", "does not match", 5),
    "block size negative": (b"\x01\x01\x00\x02a\x00", "negative", 0),
    "block size beyond the end": (b"\x01\x40\x00\x02a\x00", "beyond the end", 0),
    "block without size": (b"\x01", "middle of a number", 0),
    "header block size too small": (b"\x02\x01\x02\x00\x00\x00\x00\x00", "does not match", 5),
    "header block size too large": (b"\x02\x01\x06\x00\x00\x00\x00\x00\x00", "does not match", 5),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_payloads_are_refused_where_they_break(name: str) -> None:
    payload, text, position = MALFORMED[name]
    with pytest.raises(EventError, match=text) as caught:
        events.count_events(payload, LIMITS)
    assert caught.value.position == position


def test_a_longer_form_of_a_number_is_legal() -> None:
    payload = b"\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00" + b"\x00\x82\x00a" + b"\x80\x00"
    assert gathered(payload) == [({}, b"a")]


@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31, 2**62, 2**63 - 1, -(2**63)])
def test_every_prefix_of_a_number_is_incomplete(value: int) -> None:
    encoded = encode_long(value)
    for end in range(len(encoded)):
        for before in (b"", b"\x02\x00"):
            with pytest.raises(EventError, match=r"middle of a number|more items"):
                events.count_events(before + encoded[:end], LIMITS)


@settings(max_examples=20)
@given(avro_events.blocked_payloads())
def test_every_prefix_of_a_payload_is_refused(payload: bytes) -> None:
    for end in range(len(payload)):
        with pytest.raises(EventError):
            events.count_events(payload[:end], LIMITS)


def test_limits_hold_exactly() -> None:
    assert events.count_events(avro_events.write([({}, b"")] * 3), SMALL) == 3
    with pytest.raises(EventError, match="max_events"):
        events.count_events(avro_events.write([({}, b"")] * 4), SMALL)
    with pytest.raises(EventError, match="max_events"):
        events.count_events(b"\x04\x00\x00\x00\x00" * 2 + b"\x00", SMALL)
    assert events.count_events(avro_events.write([({"a": "", "b": ""}, b"")]), SMALL) == 1
    with pytest.raises(EventError, match="max_headers"):
        events.count_events(avro_events.write([({"a": "", "b": "", "c": ""}, b"")]), SMALL)
    # 20 bytes: block count, key length, one byte of key, value length, 15 bytes of value, end.
    assert events.count_events(avro_events.write([({"a": "v" * 15}, b"")]), SMALL) == 1
    with pytest.raises(EventError, match="max_header_bytes"):
        events.count_events(avro_events.write([({"a": "v" * 16}, b"")]), SMALL)


def test_rows_of_the_index() -> None:
    payload = avro_events.write([({}, b"aa"), ({"k": "v"}, b"bbb")])
    assert events.index_events(payload, 2).tolist() == [[1, 2, 3, 2], [5, 11, 12, 3]]


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 10**12])
def test_a_wrong_count_is_refused(count: int) -> None:
    with pytest.raises(EventError):
        events.index_events(avro_events.write([({}, b"aa"), ({}, b"bb")]), count)


def test_an_index_finds_malformed_lengths_again() -> None:
    with pytest.raises(EventError, match="beyond the end"):
        events.index_events(b"\x02\x00\x08ab\x00", 1)


@given(avro_events.events_lists, st.data())
def test_a_range_of_events_is_gathered(sent: list[Event], data: st.DataObject) -> None:
    low = data.draw(st.integers(0, len(sent)))
    high = data.draw(st.integers(low, len(sent)))
    assert gathered(avro_events.write(sent), low, high) == sent[low:high]


@settings(max_examples=60)
@given(avro_events.blocked_payloads(), st.sampled_from(["", "k", "key", "ü", "absent"]))
def test_one_header_is_found_in_each_event(payload: bytes, key: str) -> None:
    expected = avro_events.read(payload)
    assert expected is not None
    index = events.index_events(payload, len(expected))
    found = events.header_values(payload, index, key.encode())
    values = [payload[start : start + length].decode() if start >= 0 else None for start, length in found.tolist()]
    assert values == [headers.get(key) for headers, _ in expected]


@settings(max_examples=60)
@given(avro_events.blocked_payloads(), st.integers(0, 50), st.data())
def test_chosen_events_become_a_payload(payload: bytes, headroom: int, data: st.DataObject) -> None:
    expected = avro_events.read(payload)
    assert expected is not None
    keep = data.draw(st.lists(st.booleans(), min_size=len(expected), max_size=len(expected)))
    index = events.index_events(payload, len(expected))
    selected = events.select_events(payload, index, np.array(keep, np.bool_), headroom)
    kept = [event for event, wanted in zip(expected, keep, strict=True) if wanted]
    assert gathered(bytes(selected[headroom:])) == kept


def test_an_index_of_another_payload_is_refused_not_read() -> None:
    payload = avro_events.write([({"k": "v"}, b"body")])
    longer = avro_events.write([({"k": "v" * 500}, b"body" * 500)])
    index = events.index_events(longer, 1)
    for wrong in (
        index,
        -index,
        np.array([[0, len(payload), 0, 0]]),
        np.array([[1, 3, 0, 0]]),
        np.array([[1, 5, 0, 0]]),
    ):
        with pytest.raises(EventError, match="does not belong"):
            events.gather_headers(payload, wrong, 0, 1)
        with pytest.raises(EventError, match="does not belong"):
            events.header_values(payload, wrong, b"k")
    beyond = np.array([[len(payload), len(payload), len(payload), 2]])
    for wrong in (index, -index, beyond):
        with pytest.raises(EventError, match="does not belong"):
            events.gather_bodies(payload, wrong, 0, 1)
    for wrong in (index, beyond):
        with pytest.raises(EventError, match="does not belong"):
            events.select_events(payload, wrong, np.array([True]))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payloads_of_any_kind_of_buffer(kind: type) -> None:
    payload = kind(avro_events.write([({"k": "v"}, b"body")]))
    assert events.count_events(payload, LIMITS) == 1
    assert strings(events.gather_bodies(payload, events.index_events(payload, 1), 0, 1)) == [b"body"]


@given(values=st.lists(st.none() | st.binary(max_size=60), max_size=20))
def test_hashes_are_those_of_the_values_alone(values: list[bytes | None]) -> None:
    data = b"".join(value or b"" for value in values)
    spans, position = np.empty((len(values), 2), np.int64), 0
    for row, value in enumerate(values):
        spans[row] = (-1, -1) if value is None else (position, len(value))
        position += len(value or b"")
    expected = []
    for value in values:
        hashed = 0x811C9DC5
        for byte in value or b"":
            hashed = (hashed ^ byte) * 0x01000193 % 2**32
        expected.append(-1 if value is None else hashed)
    assert events.hash_values(data, spans).tolist() == expected
