"""The ingest server of a real bridge, as a Flume client uses it: a real process, real sockets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from avro_bridge.wire.protocol import Status
from tests.support.bridge_process import running_bridge
from tests.support.peers import Peer, lines, lines_with_ids
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.bridge_process import RunningBridge


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBridge]:
    with running_bridge(tmp_path_factory.mktemp("ingest"), {"listen": {"frame_timeout_s": 1.0}}) as running:
        yield running


def test_an_acknowledged_batch_is_stored_in_order(bridge: RunningBridge) -> None:
    first = bridge.status().next_offset
    with Peer(bridge.avro_port) as peer:
        assert peer.store(lines(0, 100)).status is Status.OK
        assert peer.store(lines(100, 5)).status is Status.OK
    table = bridge.read(first, first + 105)
    assert table["body"].to_pylist() == [b"line %d" % number for number in range(105)]
    assert table["offset"].to_pylist() == list(range(first, first + 105))


def test_append_stores_a_single_event(bridge: RunningBridge) -> None:
    first = bridge.status().next_offset
    with Peer(bridge.avro_port) as peer:
        peer.send(peer.wire.append({"k": "v"}, b"alone"))
        assert peer.replies()[0].status is Status.OK
    table = bridge.read(first, first + 1, headers=True)
    assert table["body"].to_pylist() == [b"alone"]
    assert table["headers"].to_pylist() == [[("k", "v")]]


def test_pipelined_calls_are_answered_by_serial(bridge: RunningBridge) -> None:
    with Peer(bridge.avro_port) as peer:
        peer.store(lines(0, 1))
        for number in range(200):
            peer.send(peer.wire.append_batch(lines(number, 3)))
        replies = peer.replies(200)
    assert sorted(reply.serial for reply in replies) == list(range(2, 202))
    assert {reply.status for reply in replies} == {Status.OK}


def test_garbage_closes_its_own_connection_only(bridge: RunningBridge) -> None:
    before = bridge.metric('headrace_bridge_rejected_total{reason="frame"}')
    with Peer(bridge.avro_port) as good, Peer(bridge.avro_port) as bad:
        assert good.store(lines(0, 1)).status is Status.OK
        bad.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert bad.is_closed()
        assert good.store(lines(1, 1)).status is Status.OK
    assert bridge.metric('headrace_bridge_rejected_total{reason="frame"}') == before + 1


def test_what_came_before_the_garbage_is_stored_and_answered(bridge: RunningBridge) -> None:
    first = bridge.status().next_offset
    with Peer(bridge.avro_port) as peer:
        peer.store(lines(0, 1))
        peer.send(peer.wire.append_batch(lines(1, 2)) + struct.pack(">iI", 9, 2**31))
        assert peer.replies()[0].status is Status.OK
        assert peer.is_closed()
    assert bridge.status().next_offset == first + 3


def test_a_frame_that_is_never_finished_ends_its_connection(bridge: RunningBridge) -> None:
    with Peer(bridge.avro_port) as slow, Peer(bridge.avro_port) as idle:
        slow.send(slow.wire.append_batch(lines(0, 10))[:-3])
        assert slow.is_closed()
        # Flume's sink is silent for hours when it has nothing to send, and may stay connected.
        assert idle.store(lines(0, 1)).status is Status.OK


def test_a_peer_that_leaves_in_the_middle_of_a_frame_leaves_no_trace(bridge: RunningBridge) -> None:
    first = bridge.status().next_offset
    with Peer(bridge.avro_port) as peer:
        peer.send(peer.wire.append_batch(lines(0, 10))[:-3])
    wait_until(lambda: bridge.metric("headrace_bridge_open_connections") == 0, 10, "the connection to be gone")
    assert bridge.status().next_offset == first


def test_a_batch_sent_again_after_a_lost_answer_is_stored_once(bridge: RunningBridge) -> None:
    before = bridge.status()
    with Peer(bridge.avro_port) as peer:
        peer.send(peer.wire.append_batch(lines_with_ids(0, 50)))
        wait_until(lambda: bridge.status().next_offset == before.next_offset + 50, 10, "the batch to be stored")
    with Peer(bridge.avro_port) as peer:
        # Flume takes what it rolled back together with what has come since.
        assert peer.store(lines_with_ids(0, 60)).status is Status.OK
    after = bridge.status()
    assert after.next_offset == before.next_offset + 60
    assert after.counters["deduplicated_events"] == before.counters["deduplicated_events"] + 50
    bodies = bridge.read(before.next_offset, after.next_offset)["body"].to_pylist()
    assert bodies == [b"line %d" % number for number in range(60)]


def test_a_batch_that_arrives_after_it_was_sent_again_is_stored_once(bridge: RunningBridge) -> None:
    before = bridge.status().next_offset
    with Peer(bridge.avro_port) as slow, Peer(bridge.avro_port) as new:
        slow.store(lines_with_ids(500, 10))
        frame = slow.wire.append_batch(lines_with_ids(510, 10))
        slow.send(frame[:100])
        assert new.store(lines_with_ids(510, 20)).status is Status.OK
        assert new.store(lines_with_ids(530, 10)).status is Status.OK
        slow.send(frame[100:])
        assert slow.replies()[0].status is Status.OK
    bodies = bridge.read(before, bridge.status().next_offset)["body"].to_pylist()
    assert bodies == [b"line %d" % number for number in range(500, 540)]


def test_acknowledged_equals_stored_plus_duplicates(bridge: RunningBridge) -> None:
    with Peer(bridge.avro_port) as peer:
        peer.store(lines(0, 7))

    def sums() -> tuple[int, int]:
        counters = bridge.status().counters
        return counters["acknowledged_events"], counters["stored_events"] + counters["deduplicated_events"]

    # The batch whose answer was lost above was counted when the answer was written, not when it arrived.
    wait_until(lambda: sums()[0] == sums()[1], 10, "the count of acknowledged events to become durable")


def test_too_many_connections_are_turned_away(tmp_path: Path) -> None:
    with (
        running_bridge(tmp_path, {"listen": {"max_connections": 1}}) as bridge,
        Peer(bridge.avro_port) as first,
    ):
        assert first.store(lines(0, 1)).status is Status.OK
        with Peer(bridge.avro_port) as second:
            assert second.is_closed()
        assert first.store(lines(1, 1)).status is Status.OK
        assert bridge.metric('headrace_bridge_rejected_total{reason="connections"}') == 1


def test_a_full_log_refuses_and_recovers_by_itself(tmp_path: Path) -> None:
    settings = {"log": {"max_bytes": 16 * 1024 * 1024}}
    with running_bridge(tmp_path, settings) as bridge, Peer(bridge.avro_port) as peer:
        bridge.act("start", consumer="c", log_id=bridge.log_id, position="earliest")
        batch: list[tuple[dict[str, str], bytes]] = [({}, bytes(1000))] * 1000
        statuses = [peer.store(batch).status for _ in range(20)]
        assert statuses[0] is Status.OK
        assert statuses[-1] is Status.FAILED
        stored = bridge.status().next_offset
        assert stored == 1000 * statuses.count(Status.OK)
        assert bridge.page("readyz")[0] == 503
        bridge.act("commit", consumer="c", log_id=bridge.log_id, offset=stored)
        wait_until(lambda: peer.store(batch).status is Status.OK, 20, "the log to take batches again")
        assert bridge.page("readyz") == (200, "ok\n")
