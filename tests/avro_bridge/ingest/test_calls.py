"""The batches of a call, and the one answer to all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import BlockError, BridgeError, LogFull
from avro_bridge.ingest.calls import JointAnswer, batches_of
from avro_bridge.log.blocks import read_block
from avro_bridge.log.record import PayloadKind, PendingBatch, StoredBatch
from tests.support.avro_events import Event, events_lists
from tests.support.blocks import OTHER_FILE_ID, block_event, call_of
from tests.support.log_helpers import bodies

CONTENT = b"one\ntwo\nthree\n"
ONE, TWO = block_event(CONTENT, 0, 4), block_event(CONTENT, 4, 14)


def payload_of(batch: PendingBatch) -> bytes:
    return bytes(batch.buffer[batch.start :])


def lines_of(batch: PendingBatch) -> bytes:
    stored = StoredBatch(0, batch.count, batch.kind, 1, 1, memoryview(payload_of(batch)))
    return bytes(read_block(stored).lines)


def test_ordinary_events_stay_the_batch_that_they_were() -> None:
    call = call_of([({}, b"a"), ({}, b"b")])
    (batch,) = batches_of(call, 7, 5)
    assert (batch.buffer, batch.start, batch.count, batch.kind) == (call.buffer, call.start, 2, PayloadKind.EVENTS)
    assert (batch.connection_id, batch.received_us) == (7, 5)


def test_a_block_that_comes_alone_is_not_copied() -> None:
    call = call_of([TWO])
    (batch,) = batches_of(call, 7, 5)
    assert batch.buffer is call.buffer
    assert (lines_of(batch), batch.count, batch.kind) == (b"two\nthree\n", 2, PayloadKind.LINES)
    assert (batch.connection_id, batch.received_us) == (7, 5)


def test_each_block_of_a_call_is_a_batch() -> None:
    batches = batches_of(call_of([ONE, TWO]), 7, 5)
    assert [lines_of(each) for each in batches] == [b"one\n", b"two\nthree\n"]
    assert [each.place.place.position for each in batches if each.place] == [0, 4]


def test_blocks_come_first_and_the_other_events_are_one_batch() -> None:
    batches = batches_of(call_of([({"id": "1"}, b"a"), ONE, ({"id": "2"}, b"b"), TWO]), 7, 5)
    assert [each.kind for each in batches] == [PayloadKind.LINES, PayloadKind.LINES, PayloadKind.EVENTS]
    assert bodies(payload_of(batches[-1])) == [b"a", b"b"]
    assert batches[-1].count == 2


@given(events_lists, st.data())
def test_no_event_of_a_mixed_call_is_lost(events: list[Event], data: st.DataObject) -> None:
    blocks = [block_event(CONTENT, 0, 4), block_event(CONTENT, 4, 14, file_id=OTHER_FILE_ID)]
    mixed = data.draw(st.permutations([*events, *blocks]))
    batches = batches_of(call_of(mixed), 1, 1)
    assert sorted(lines_of(each) for each in batches if each.place) == [b"one\n", b"two\nthree\n"]
    rest = [each for each in batches if not each.place]
    expected = [body for headers, body in mixed if "headrace.file" not in headers]
    assert [body for each in rest for body in bodies(payload_of(each))] == expected


def test_a_wrong_place_refuses_the_call() -> None:
    headers, body = ONE
    with pytest.raises(BlockError, match=r"headrace\.position"):
        batches_of(call_of([TWO, (headers | {"headrace.position": "x"}, body)]), 1, 1)


def test_a_call_is_answered_once_all_its_batches_are() -> None:
    given_answers: list[BridgeError | None] = []
    done = JointAnswer(2, given_answers.append)
    done(0, None)
    assert given_answers == []
    done(None, None)
    assert given_answers == [None]


@pytest.mark.parametrize("refused_first", [True, False])
def test_a_call_is_refused_if_one_of_its_batches_is(refused_first: bool) -> None:  # noqa: FBT001 - both orders
    full = LogFull("no room")
    given_answers: list[BridgeError | None] = []
    done = JointAnswer(2, given_answers.append)
    for error in [full, None] if refused_first else [None, full]:
        done(None, error)
    assert given_answers == [full]
