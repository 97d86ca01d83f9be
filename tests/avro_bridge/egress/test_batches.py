"""Stored batches as Arrow record batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avro_bridge.contract import schema
from avro_bridge.egress import batches as egress_batches
from avro_bridge.egress.batches import record_batches
from avro_bridge.log.record import PayloadKind, StoredBatch
from tests.support.avro_events import Event, events_lists
from tests.support.wire_client import encode_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def stored_batch(first_offset: int, events: list[Event]) -> StoredBatch:
    payload = memoryview(encode_events(events))
    return StoredBatch(first_offset, len(events), PayloadKind.EVENTS, 1_000_000, 0, payload)


def test_small_batches_are_joined_until_enough_events_are_together() -> None:
    stored = [stored_batch(number, [({}, b"x")]) for number in range(7)]
    pieces = list(record_batches(stored, 0, 7, headers=False, batch_events=3))
    assert [piece["offset"].to_pylist() for piece in pieces] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(piece.schema == schema(headers=False) for piece in pieces)


def test_large_batches_are_passed_on_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_batches, "MAX_BATCH_BYTES", 1000)
    stored = [stored_batch(number, [({}, bytes(600))]) for number in range(3)]
    pieces = list(record_batches(stored, 0, 3, headers=False, batch_events=10_000))
    assert [piece.num_rows for piece in pieces] == [2, 1]


def test_no_batch_is_taken_before_it_is_needed() -> None:
    """A payload is only valid until the log's reader takes its next step."""
    taken = []

    def stored() -> Iterator[StoredBatch]:
        for number in range(4):
            taken.append(number)
            yield stored_batch(number, [({}, b"x")])

    pieces = record_batches(stored(), 0, 4, headers=False, batch_events=2)
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
    pieces = list(record_batches(stored, start, end, headers=True, batch_events=joined))
    rows = [row for piece in pieces for row in piece.to_pylist()]
    wanted = [(place, headers, body) for place, headers, body in everything if start <= place < end]
    assert [(row["offset"], dict(row["headers"]), row["body"]) for row in rows] == wanted
    assert all(piece.num_rows < joined + 8 for piece in pieces)
