"""Stored batches as Arrow record batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avro_bridge.contract import Place, schema
from avro_bridge.egress import batches as egress_batches
from avro_bridge.egress.batches import record_batches
from avro_bridge.errors import BadRequest
from avro_bridge.log.record import PayloadKind, StoredBatch
from tests.support.avro_events import Event, events_lists
from tests.support.blocks import FILE_ID, block_event, cut_line_event, line_starts, pending_blocks
from tests.support.wire_client import encode_events

if TYPE_CHECKING:
    from collections.abc import Iterator


def stored_batch(first_offset: int, events: list[Event]) -> StoredBatch:
    payload = memoryview(encode_events(events))
    return StoredBatch(first_offset, len(events), PayloadKind.EVENTS, 1_000_000, 0, payload)


def test_small_batches_are_joined_until_enough_events_are_together() -> None:
    stored = [stored_batch(number, [({}, b"x")]) for number in range(7)]
    pieces = list(record_batches(stored, 0, 7, headers=False, blocks=False, batch_events=3))
    assert [piece["offset"].to_pylist() for piece in pieces] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(piece.schema == schema(headers=False) for piece in pieces)


def test_large_batches_are_passed_on_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_batches, "MAX_BATCH_BYTES", 1000)
    stored = [stored_batch(number, [({}, bytes(600))]) for number in range(3)]
    pieces = list(record_batches(stored, 0, 3, headers=False, blocks=False, batch_events=10_000))
    assert [piece.num_rows for piece in pieces] == [2, 1]


def test_no_batch_is_taken_before_it_is_needed() -> None:
    """A payload is only valid until the log's reader takes its next step."""
    taken = []

    def stored() -> Iterator[StoredBatch]:
        for number in range(4):
            taken.append(number)
            yield stored_batch(number, [({}, b"x")])

    pieces = record_batches(stored(), 0, 4, headers=False, blocks=False, batch_events=2)
    next(pieces)
    assert taken == [0, 1]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(events_lists.filter(bool), min_size=1, max_size=5),
    base=st.integers(0, 2**40),
    joined=st.integers(1, 20),
    data=st.data(),
)
def test_arrow_gives_back_what_was_stored(
    batches: list[list[Event]], base: int, joined: int, data: st.DataObject
) -> None:
    stored, everything, offset = [], [], base
    for number, events in enumerate(batches):
        payload = memoryview(encode_events(events))
        stored.append(StoredBatch(offset, len(events), PayloadKind.EVENTS, 1_000_000 + number, 0, payload))
        everything += [(offset + place, headers, body) for place, (headers, body) in enumerate(events)]
        offset += len(events)
    start = data.draw(st.integers(base, base + len(batches[0]) - 1))
    end = data.draw(st.integers(max(start, stored[-1].first_offset), offset))
    pieces = list(record_batches(stored, start, end, headers=True, blocks=False, batch_events=joined))
    rows = [row for piece in pieces for row in piece.to_pylist()]
    wanted = [(place, headers, body) for place, headers, body in everything if start <= place < end]
    assert [(row["offset"], dict(row["headers"]), row["body"]) for row in rows] == wanted
    assert all(piece.num_rows < joined + 8 for piece in pieces)


CONTENT = b"one\ntwo\r\n\nfour\nlast"


def stored_block(first_offset: int, *event: Event) -> StoredBatch:
    (batch,) = pending_blocks(*event)
    payload = memoryview(bytes(batch.buffer[batch.start :]))
    return StoredBatch(first_offset, batch.count, batch.kind, 1_000_000, 0, payload)


def test_a_block_is_one_row_with_its_place_and_its_headers() -> None:
    event = block_event(CONTENT, 4, len(CONTENT))
    (piece,) = record_batches([stored_block(10, event)], 10, 14, headers=True, blocks=True, batch_events=1)
    assert piece.schema == schema(headers=True, blocks=True)
    (row,) = piece.to_pylist()
    assert (row["offset"], row["count"], row["body"]) == (10, 4, CONTENT[4:])
    assert Place.from_bytes(row["place"]) == Place(FILE_ID, 4, len(CONTENT) - 4)
    assert dict(row["headers"]) == event[0]


def test_a_part_of_a_block_begins_and_ends_at_lines() -> None:
    stored = stored_block(10, block_event(CONTENT, 0, len(CONTENT)))
    starts = line_starts(CONTENT)
    for low in range(5):
        for high in range(low + 1, 6):
            (piece,) = record_batches([stored], 10 + low, 10 + high, headers=False, blocks=True, batch_events=1)
            (row,) = piece.to_pylist()
            assert (row["offset"], row["count"]) == (10 + low, high - low)
            assert row["body"] == CONTENT[starts[low] : starts[high]]
            assert Place.from_bytes(row["place"]) == Place(FILE_ID, starts[low], starts[high] - starts[low])


def test_a_cut_line_keeps_its_length() -> None:
    stored = stored_block(3, cut_line_event(bytes(100), 10, 90, 5))
    (piece,) = record_batches([stored], 0, 9, headers=False, blocks=True, batch_events=1)
    (row,) = piece.to_pylist()
    assert (row["count"], row["body"], Place.from_bytes(row["place"])) == (1, bytes(5), Place(FILE_ID, 10, 80))


def test_rows_of_a_record_batch_are_all_events_or_all_blocks() -> None:
    stored = [
        stored_batch(0, [({}, b"x"), ({}, b"y")]),
        stored_block(2, block_event(CONTENT, 0, 4)),
        stored_block(3, block_event(CONTENT, 4, 9)),
        stored_batch(4, [({}, b"z")]),
    ]
    pieces = list(record_batches(stored, 0, 5, headers=False, blocks=True, batch_events=100))
    assert [piece["offset"].to_pylist() for piece in pieces] == [[0, 1], [2, 3], [4]]
    assert [piece["count"].to_pylist() for piece in pieces] == [[1, 1], [1, 1], [1]]
    assert [[place is None for place in piece["place"].to_pylist()] for piece in pieces] == [
        [True, True],
        [False, False],
        [True],
    ]


def test_large_blocks_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_batches, "JOINED_BLOCK_BYTES", 100)
    content = b"x" * 199 + b"\n"
    stored = [stored_block(number, block_event(content, 0, 200)) for number in range(3)]
    pieces = list(record_batches(stored, 0, 3, headers=False, blocks=True, batch_events=100))
    assert [piece.num_rows for piece in pieces] == [1, 1, 1]


def test_a_reader_that_does_not_know_blocks_is_refused() -> None:
    stored = stored_block(7, block_event(CONTENT, 0, 4))
    with pytest.raises(BadRequest, match=r"offset 7 is in a block of lines.*upgrade the job"):
        list(record_batches([stored], 7, 8, headers=False, blocks=False, batch_events=1))
