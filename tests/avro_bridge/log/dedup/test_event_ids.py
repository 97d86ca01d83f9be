"""Event ids in payloads, and dropping the events whose id is stored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import EventError
from avro_bridge.log.dedup.event_ids import batch_ids, event_ids, sorted_hashes, without_duplicates
from avro_bridge.log.record import HEADER_SIZE, PayloadKind
from tests.support.avro_events import write
from tests.support.log_helpers import bodies, identified, pending

unique_ids = st.lists(st.text("abcdefü", max_size=4), unique_by=lambda each: each or object(), max_size=12)


@given(unique_ids)
def test_the_id_is_the_headers_value_and_an_empty_one_is_none(ids: list[str]) -> None:
    payload = write([({"id": each, "host": "id"}, b"body") for each in ids])
    assert event_ids(payload, len(ids), "id") == [each.encode() or None for each in ids]


def test_events_without_the_header_have_no_id() -> None:
    payload = write([({"id": "1"}, b""), ({"ID": "2"}, b""), ({}, b"")])
    assert event_ids(payload, 3, "id") == [b"1", None, None]


@pytest.mark.parametrize(("length", "is_id"), [(1024, True), (1025, False)])
def test_a_value_of_more_than_1024_bytes_is_no_id(length: int, is_id: bool) -> None:  # noqa: FBT001 - a table
    payload = write([({"id": "x" * length}, b"")])
    assert event_ids(payload, 1, "id") == [b"x" * length if is_id else None]


def test_a_header_that_repeats_in_a_payload_identifies_nothing() -> None:
    payload = write([({"id": each}, b"") for each in ("a", "b", "a")])
    assert event_ids(payload, 3, "id") == [None, None, None]


def test_a_wrong_count_is_an_error() -> None:
    with pytest.raises(EventError):
        event_ids(write([({"id": "a"}, b"")]), 2, "id")


def test_the_ids_of_a_batch_lie_behind_its_headroom() -> None:
    assert batch_ids(identified(["a", "", "c"]), "id") == {b"a", b"c"}


def test_hashes_are_sorted_and_depend_on_the_id() -> None:
    hashes = sorted_hashes({b"a", b"b", b"ab", b"", b"ba"})
    assert len(set(hashes.tolist())) == 5
    assert (np.diff(hashes) > 0).all()
    assert len(sorted_hashes([])) == 0


@given(ids=unique_ids, known=st.sets(st.text("abcdefü", min_size=1, max_size=4)))
def test_exactly_the_known_ids_are_dropped(ids: list[str], known: set[str]) -> None:
    batch = identified(ids)
    stored = {each.encode() for each in known}
    rest = without_duplicates(batch, "id", sorted_hashes(stored), stored.__contains__)
    kept = [each for each in ids if each not in known]
    assert bodies(rest.buffer[rest.start :]) == [each.encode() for each in kept]
    assert (rest.count, rest.duplicates) == (len(kept), len(ids) - len(kept))
    assert (rest is batch) == (kept == ids)
    assert (rest.connection_id, rest.received_us, rest.kind) == (1, 1_000_000, PayloadKind.EVENTS)
    assert rest.start >= HEADER_SIZE


def test_ids_are_compared_in_full_only_where_a_hash_matches() -> None:
    asked: list[bytes] = []

    def is_stored(event_id: bytes) -> bool:
        asked.append(event_id)
        return False

    batch = identified(["a", "b"])
    assert without_duplicates(batch, "id", sorted_hashes([b"x"]), is_stored) is batch
    assert without_duplicates(batch, "id", sorted_hashes([]), is_stored) is batch
    assert asked == []
    assert without_duplicates(batch, "id", sorted_hashes([b"x", b"b"]), is_stored) is batch
    assert asked == [b"a", b"b"]


def test_earlier_duplicates_stay_counted() -> None:
    batch = identified(["a", "b"])
    batch.duplicates = 5
    assert without_duplicates(batch, "id", sorted_hashes([b"a"]), {b"a"}.__contains__).duplicates == 6


def test_a_payload_that_is_no_events_is_an_error() -> None:
    with pytest.raises(EventError):
        without_duplicates(pending(b"junk", 3), "id", sorted_hashes([b"a"]), {b"a"}.__contains__)
