"""Group commit: order, groups, what does not fit, what breaks, and what the callers hear."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import BadRequest, BridgeError, EventError, LogClosed, LogError, LogFull, LogWriteFailed
from avro_bridge.log.callbacks import Group, WriterHooks
from avro_bridge.log.record import PayloadKind
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.log.store import Log
from avro_bridge.log.writer import GroupCommitWriter
from tests.support.log_kit import MIB, Answers, FaultyEnvironment, identified, lines, pending, stored
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from avro_bridge.log.retention import Dropped

SETTINGS = LogSettings(max_bytes=4 * MIB)
NEVER_S = 3600.0


class Gate:
    """Holds the writer's thread at a known place, so that batches wait until the test lets it go."""

    def __init__(self, writer: GroupCommitWriter) -> None:
        self._open = threading.Event()
        reached = threading.Event()

        def wait() -> None:
            reached.set()
            assert self._open.wait(30)

        self._passed = writer.call(wait)
        assert reached.wait(30)

    def open(self) -> None:
        self._open.set()
        self._passed.result(30)


class Watch:
    """Writes down what the writer tells."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.deleted: list[Dropped] = []
        self.failures: list[BaseException] = []
        self.answered = 0
        self.room = 0

    def hooks(self) -> WriterHooks:
        return WriterHooks(
            after_group=self.groups.append,
            answered=self._count_answered,
            has_room_again=self._count_room,
            deleted=self.deleted.append,
            upkeep_failed=self.failures.append,
        )

    def _count_answered(self) -> None:
        self.answered += 1

    def _count_room(self) -> None:
        self.room += 1


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.open(tmp_path / "log", SETTINGS, FaultyEnvironment) as opened:
        yield opened


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def writer(log: Log, watch: Watch) -> Iterator[GroupCommitWriter]:
    settings = WriterSettings(max_group_bytes=100_000, max_queued_bytes=200_000, retain_every_s=NEVER_S)
    with GroupCommitWriter(log, settings, watch.hooks(), clock_us=lambda: 1_000_000) as made:
        yield made


def faults(log: Log) -> FaultyEnvironment:
    environment = log._environment
    assert isinstance(environment, FaultyEnvironment)
    return environment


def settle(writer: GroupCommitWriter) -> None:
    """Wait until the writer has done all that was queued before."""
    writer.call(lambda: None).result(30)


def errors(answers: Answers) -> list[type[BridgeError] | None]:
    given = [answers.given[number][1] for number in sorted(answers.given)]
    return [None if error is None else type(error) for error in given]


def test_what_waits_shares_one_transaction(log: Log, writer: GroupCommitWriter, watch: Watch, answers: Answers) -> None:
    gate = Gate(writer)
    for count in (3, 1, 2):
        writer.submit(lines(count), answers.done())
    assert writer.queued_bytes > 0
    assert answers.given == {}
    gate.open()
    settle(writer)
    assert answers.places() == [0, 3, 4]
    assert [(each.batches, each.events, each.payload_bytes) for each in watch.groups] == [(3, 6, 300)]
    assert watch.groups[0].seconds > 0
    assert watch.answered == 1
    assert faults(log).reached.count("append") == 1
    assert writer.queued_bytes == 0


def test_a_group_is_bounded_in_bytes_and_a_large_batch_goes_alone(
    writer: GroupCommitWriter, watch: Watch, answers: Answers
) -> None:
    gate = Gate(writer)
    for size in (40_000, 40_000, 40_000, 150_000):
        writer.submit(lines(1, size), answers.done())
    gate.open()
    settle(writer)
    assert answers.places() == [0, 1, 2, 3]
    assert [each.batches for each in watch.groups] == [2, 1, 1]


def test_an_answer_comes_after_the_sync(log: Log, writer: GroupCommitWriter) -> None:
    seen: list[int] = []
    writer.submit(lines(2), lambda _place, _error: seen.append(log.next_offset))
    settle(writer)
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
    settle(writer)
    assert [*seen, writer.has_room] == [True, False, True]
    assert watch.room == 1


def test_who_does_not_stop_is_refused_at_twice_the_bound(writer: GroupCommitWriter, answers: Answers) -> None:
    gate = Gate(writer)
    for _batch in range(5):
        writer.submit(lines(1, 90_000), answers.done())
    assert errors(answers) == [LogFull]
    assert "are not taken: send later" in str(answers.given[4][1])
    gate.open()
    settle(writer)
    assert errors(answers) == [None] * 4 + [LogFull]


def test_a_batch_larger_than_all_bounds_is_taken_by_an_empty_queue(writer: GroupCommitWriter, answers: Answers) -> None:
    writer.submit(lines(1, MIB), answers.done())
    settle(writer)
    assert answers.places() == [0]


def test_a_failed_write_answers_every_batch_and_the_next_one_works(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    gate = Gate(writer)
    faults(log).fail_next("append")
    writer.acknowledged(5)
    writer.submit(lines(1), answers.done())
    writer.submit(lines(1), answers.done())
    gate.open()
    settle(writer)
    assert errors(answers) == [LogWriteFailed, LogWriteFailed]
    assert log.next_offset == 0
    writer.submit(lines(1), answers.done())
    settle(writer)
    assert answers.given[2] == (0, None)
    assert log.counters()["acknowledged_events"] == 5, "the number was not lost with the transaction"


def test_where_a_group_does_not_fit_its_small_batches_do(log: Log, writer: GroupCommitWriter, answers: Answers) -> None:
    log.append([lines(1, 4 * MIB - 150_000)])
    gate = Gate(writer)
    for size in (40_000, 30, 30, 30):
        writer.submit(lines(1, size), answers.done())
    log.append([lines(1, 100_000)])
    gate.open()
    settle(writer)
    assert errors(answers) == [LogFull, None, None, None]
    assert [answers.given[number][0] for number in (1, 2, 3)] == [2, 3, 4]


def test_batches_as_large_as_one_that_failed_are_not_tried(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    full = LogFull("no room")
    gate = Gate(writer)
    for _attempt in range(4):
        faults(log).fail_next("append", full)
    for size in (500, 500, 600, 10):
        writer.submit(lines(1, size), answers.done())
    gate.open()
    settle(writer)
    assert errors(answers) == [LogFull, LogFull, LogFull, None]
    # Each is tried twice (see the log's append): all together, the first alone; then the last alone, once.
    assert faults(log).reached.count("append") == 5


def test_another_failure_while_looking_what_fits_concerns_one_batch(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    gate = Gate(writer)
    for error in (LogFull("no room"), LogFull("no room"), LogWriteFailed("broken")):
        faults(log).fail_next("append", error)
    for size in (500, 600):
        writer.submit(lines(1, size), answers.done())
    gate.open()
    settle(writer)
    assert errors(answers) == [LogWriteFailed, None]


def test_a_full_log_makes_room_by_itself_when_everything_was_read(
    log: Log, writer: GroupCommitWriter, watch: Watch, answers: Answers
) -> None:
    log.start_consumer("spark", "earliest")
    log.append([lines(1, 3 * MIB)])
    log.commit("spark", 1)
    writer.submit(lines(1, 2 * MIB), answers.done())
    settle(writer)
    assert answers.places() == [1]
    assert [each.events for each in watch.deleted] == [1]


def test_a_full_log_refuses_what_is_unread_and_recovers_after_the_commit(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    writer.start_consumer("spark", "earliest").result(30)
    log.append([lines(1, 3 * MIB)])
    writer.submit(lines(1, 2 * MIB), answers.done())
    settle(writer)
    assert errors(answers) == [LogFull]
    assert writer.commit("spark", 1).result(30) == 1
    settle(writer)
    writer.submit(lines(1, 2 * MIB), answers.done())
    settle(writer)
    assert answers.given[1] == (1, None)


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


def test_retention_runs_by_itself_and_its_failure_is_told_and_tried_again(log: Log, watch: Watch) -> None:
    log.append([lines(5)])
    log.start_consumer("spark", "latest")
    faults(log).fail_next("retain")
    with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01), watch.hooks()):
        wait_until(lambda: log.first_offset == 5, 30, "retention")
    assert [type(each) for each in watch.failures] == [LogWriteFailed]


def test_the_error_of_an_action_is_its_futures(writer: GroupCommitWriter) -> None:
    with pytest.raises(BadRequest):
        writer.commit("nobody", 0).result(30)


def test_a_cancelled_action_does_not_run(writer: GroupCommitWriter) -> None:
    gate = Gate(writer)
    future = writer.start_consumer("spark", "latest")
    assert future.cancel()
    gate.open()
    settle(writer)
    with pytest.raises(CancelledError):
        future.result(30)


def test_acknowledged_events_become_durable_with_the_upkeep_and_at_the_end(log: Log) -> None:
    with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01)) as writer:
        writer.acknowledged(3)
        wait_until(lambda: log.counters()["acknowledged_events"] == 3, 30, "the number to be stored")
        writer.acknowledged(4)
    assert log.counters()["acknowledged_events"] == 7


def test_a_number_that_cannot_be_stored_is_told(log: Log, watch: Watch) -> None:
    faults(log).fail_next("append")
    with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01), watch.hooks()) as writer:
        writer.acknowledged(3)
        wait_until(lambda: log.counters()["acknowledged_events"] == 3, 30, "the second attempt")
    assert [type(each) for each in watch.failures] == [LogWriteFailed]


def test_what_comes_again_is_acknowledged_and_not_stored(
    log: Log, writer: GroupCommitWriter, watch: Watch, answers: Answers
) -> None:
    gate = Gate(writer)
    writer.connection_opened(1, "agent")
    writer.submit(identified("abc", connection_id=1), answers.done())
    writer.connection_lost(1)
    writer.connection_opened(2, "agent")
    writer.submit(identified("abc", connection_id=2), answers.done())
    writer.submit(identified("cd", connection_id=2), answers.done())
    gate.open()
    settle(writer)
    assert answers.places() == [0, None, 3]
    assert writer.suspects == 1
    assert sum(each.deduplicated_events for each in watch.groups) == 4
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
    settle(writer)
    assert answers.places() == [0, None]


def test_a_batch_that_cannot_be_compared_is_refused_alone(writer: GroupCommitWriter, answers: Answers) -> None:
    writer.submit(identified("ab", connection_id=1), answers.done())
    writer.connection_lost(1)
    settle(writer)
    writer.submit(pending(b"junk", 3, kind=PayloadKind.EVENTS), answers.done())
    settle(writer)
    assert errors(answers) == [None, EventError]


def test_a_doubt_that_cannot_be_looked_up_is_told(
    log: Log, writer: GroupCommitWriter, watch: Watch, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.connection_opened(1, "agent")
    writer.submit(identified("ab", connection_id=1), answers.done())
    writer.connection_opened(2, "agent")
    writer.submit(identified("x", connection_id=2), answers.done())
    settle(writer)

    def unreadable(_connection_id: int) -> None:
        raise LogError("unreadable")

    monkeypatch.setattr(log, "doubt_record", unreadable)
    writer.submit(identified("cd", connection_id=1), answers.done())
    writer.connection_lost(1)
    settle(writer)
    assert [str(each) for each in watch.failures] == ["unreadable", "unreadable"]
    assert answers.places() == [0, 2, 3]


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


def test_a_writer_that_breaks_tells_everyone(log: Log, writer: GroupCommitWriter, answers: Answers) -> None:
    gate = Gate(writer)

    def bug(_place: int | None, _error: BridgeError | None) -> None:
        raise ZeroDivisionError("a bug in a callback")

    writer.submit(lines(1), bug)
    writer.submit(lines(1), answers.done())
    writer.submit(lines(1, 99_950), bug)
    future = writer.start_consumer("spark", "latest")
    gate.open()
    assert isinstance(future.exception(30), LogWriteFailed)
    assert errors(answers) == [LogWriteFailed]
    assert writer.broken is not None
    assert "a bug in a callback" in str(writer.broken)
    assert "restart the bridge" in str(writer.broken)
    assert any("failed as well" in note for note in writer.broken.__notes__)
    writer.submit(lines(1), answers.done())
    assert errors(answers) == [LogWriteFailed] * 2
    assert isinstance(writer.start_consumer("spark", "latest").exception(0), LogWriteFailed)
