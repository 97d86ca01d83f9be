"""The writer: order, groups, back-pressure, and results of callers."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import BadRequest, BridgeError, LogClosed, LogFull
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.log.writer import GroupCommitWriter
from tests.support.log_helpers import MIB, Answers, identified, lines, stored
from tests.support.log_writer import Gate, Watch, errors, faults, groups_of, wait_for_queue
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

NEVER_S = 3600.0


def test_what_waits_shares_one_transaction(log: Log, writer: GroupCommitWriter, answers: Answers) -> None:
    gate = Gate(writer)
    for count in (3, 1, 2):
        writer.submit(lines(count), answers.done())
    assert writer._queued_bytes > 0
    assert answers.given == {}
    gate.open()
    wait_for_queue(writer)
    assert answers.places() == [0, 3, 4]
    assert [(each.batches, each.events, each.payload_bytes) for each in groups_of(log)] == [(3, 6, 300)]
    assert faults(log).reached.count("append") == 1
    assert writer._queued_bytes == 0


def test_a_group_is_bounded_in_bytes_and_a_large_batch_goes_alone(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    gate = Gate(writer)
    for size in (40_000, 40_000, 40_000, 150_000):
        writer.submit(lines(1, size), answers.done())
    gate.open()
    wait_for_queue(writer)
    assert answers.places() == [0, 1, 2, 3]
    assert [each.batches for each in groups_of(log)] == [2, 1, 1]


def test_an_answer_comes_after_the_sync(log: Log, writer: GroupCommitWriter) -> None:
    seen: list[int] = []
    writer.submit(lines(2), lambda _place, _error: seen.append(log.next_offset))
    wait_for_queue(writer)
    assert seen == [2]


def test_threads_submit_at_the_same_time(log: Log, writer: GroupCommitWriter) -> None:
    places: list[int | None] = []

    def submit_many() -> None:
        for _batch in range(50):
            answered = threading.Event()

            def done(place: int | None, error: BridgeError | None, answered: threading.Event = answered) -> None:
                assert error is None
                places.append(place)
                answered.set()

            writer.submit(lines(2), done)
            assert answered.wait(30)

    threads = [threading.Thread(target=submit_many) for _thread in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert sorted(places, key=lambda place: place or 0) == list(range(0, 400, 2))
    assert log.next_offset == 400


def test_the_flag_says_when_to_stop_and_the_hook_when_to_go_on(
    writer: GroupCommitWriter, watch: Watch, answers: Answers
) -> None:
    gate = Gate(writer)
    seen = []
    for size in (150_000, 100_000):
        writer.submit(lines(1, size), answers.done())
        seen.append(writer.has_room)
    gate.open()
    wait_for_queue(writer)
    assert [*seen, writer.has_room] == [True, False, True]
    assert watch.room == 1


def test_who_does_not_stop_is_refused_at_twice_the_bound(writer: GroupCommitWriter, answers: Answers) -> None:
    gate = Gate(writer)
    for _batch in range(5):
        writer.submit(lines(1, 90_000), answers.done())
    assert errors(answers) == [LogFull]
    assert "are not taken: send later" in str(answers.given[4][1])
    gate.open()
    wait_for_queue(writer)
    assert errors(answers) == [None] * 4 + [LogFull]


def test_a_batch_larger_than_all_bounds_is_taken_by_an_empty_queue(writer: GroupCommitWriter, answers: Answers) -> None:
    writer.submit(lines(1, MIB), answers.done())
    wait_for_queue(writer)
    assert answers.places() == [0]


def test_a_commit_is_followed_by_retention_to_its_end(tmp_path: Path, watch: Watch) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, retain_batches=2)) as log:
        log.append([lines(1)] * 5)
        log.start_consumer("spark", "earliest")
        with GroupCommitWriter(log, WriterSettings(retain_every_s=NEVER_S), watch.hooks()) as writer:
            writer.commit("spark", 5).result(30)
            wait_until(lambda: log.first_offset == 5, 30, "everything to be deleted")
        assert sum(each.events for each in watch.deleted) == 5


def test_forgetting_a_consumer_is_followed_by_retention(log: Log, writer: GroupCommitWriter) -> None:
    log.append([lines(5)])
    log.start_consumer("slow", "earliest")
    log.start_consumer("fast", "latest")
    assert writer.forget("slow").result(30)
    wait_until(lambda: log.first_offset == 5, 30, "what only the forgotten one held back to be deleted")


def test_the_error_of_an_action_is_its_futures(writer: GroupCommitWriter) -> None:
    with pytest.raises(BadRequest):
        writer.commit("nobody", 0).result(30)


def test_a_cancelled_action_does_not_run(writer: GroupCommitWriter) -> None:
    gate = Gate(writer)
    future = writer.start_consumer("spark", "latest")
    assert future.cancel()
    gate.open()
    wait_for_queue(writer)
    with pytest.raises(CancelledError):
        future.result(30)


def test_acknowledged_events_become_durable_with_the_upkeep_and_at_the_end(log: Log) -> None:
    with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01)) as writer:
        writer.acknowledged(3)
        wait_until(lambda: log.counters()["acknowledged_events"] == 3, 30, "the number to be stored")
        writer.acknowledged(4)
    assert log.counters()["acknowledged_events"] == 7


def test_what_is_sent_again_is_acknowledged_and_not_stored(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    gate = Gate(writer)
    writer.connection_opened(1, "agent")
    writer.submit(identified("abc", connection_id=1), answers.done())
    writer.connection_lost(1)
    writer.connection_opened(2, "agent")
    writer.submit(identified("abc", connection_id=2), answers.done())
    writer.submit(identified("cd", connection_id=2), answers.done())
    gate.open()
    wait_for_queue(writer)
    assert answers.places() == [0, None, 3]
    assert writer.suspects == 1
    assert sum(each.deduplicated_events for each in groups_of(log)) == 4
    assert log.counters()["deduplicated_events"] == 4
    assert log.next_offset == 4


def test_the_first_batch_of_a_connection_sees_what_its_siblings_stored_just_before(
    writer: GroupCommitWriter, answers: Answers
) -> None:
    gate = Gate(writer)
    writer.connection_opened(1, "agent")
    writer.connection_opened(2, "agent")
    writer.submit(identified("abc", connection_id=1), answers.done())
    writer.submit(identified("abc", connection_id=2), answers.done())
    gate.open()
    wait_for_queue(writer)
    assert answers.places() == [0, None]


def test_close_stores_and_answers_what_waits(log: Log, answers: Answers) -> None:
    writer = GroupCommitWriter(log, WriterSettings(retain_every_s=NEVER_S))
    gate = Gate(writer)
    for _batch in range(3):
        writer.submit(lines(1, 9 * MIB // 10), answers.done())
    last = writer.start_consumer("spark", "latest")
    closer = threading.Thread(target=writer.close)
    closer.start()
    gate.open()
    closer.join(30)
    assert answers.places() == [0, 1, 2]
    assert last.result(0) == 3
    writer.close()


def test_a_closed_writer_refuses(log: Log, writer: GroupCommitWriter, answers: Answers, watch: Watch) -> None:
    writer.close()
    writer.submit(lines(1), answers.done())
    assert errors(answers) == [LogClosed]
    with pytest.raises(LogClosed):
        writer.commit("spark", 0).result(0)
    writer.connection_lost(1)
    assert watch.failures == []
    assert stored(log) == []
