"""The writer when batches do not fit or writes fail: which error each caller gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avro_bridge.errors import BridgeError, EventError, LogError, LogFull, LogWriteFailed
from avro_bridge.log.record import PayloadKind
from avro_bridge.log.settings import WriterSettings
from avro_bridge.log.writer import GroupCommitWriter
from tests.support.log_helpers import MIB, Answers, identified, lines, pending
from tests.support.log_writer import Gate, Watch, errors, faults, wait_for_queue
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from avro_bridge.log.log import Log


def test_a_failed_write_answers_every_batch_and_the_next_one_works(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    gate = Gate(writer)
    faults(log).fail_next("append")
    writer.acknowledged(5)
    writer.submit(lines(1), answers.done())
    writer.submit(lines(1), answers.done())
    gate.open()
    wait_for_queue(writer)
    assert errors(answers) == [LogWriteFailed, LogWriteFailed]
    assert log.next_offset == 0
    writer.submit(lines(1), answers.done())
    wait_for_queue(writer)
    assert answers.given[2] == (0, None)
    assert log.counters()["acknowledged_events"] == 5, "the number was not lost with the transaction"


def test_where_a_group_does_not_fit_its_small_batches_do(log: Log, writer: GroupCommitWriter, answers: Answers) -> None:
    log.append([lines(1, 4 * MIB - 150_000)])
    gate = Gate(writer)
    for size in (40_000, 30, 30, 30):
        writer.submit(lines(1, size), answers.done())
    log.append([lines(1, 100_000)])
    gate.open()
    wait_for_queue(writer)
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
    wait_for_queue(writer)
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
    wait_for_queue(writer)
    assert errors(answers) == [LogWriteFailed, None]


def test_a_full_log_makes_room_by_itself_when_everything_was_read(
    log: Log, writer: GroupCommitWriter, watch: Watch, answers: Answers
) -> None:
    log.start_consumer("spark", "earliest")
    log.append([lines(1, 3 * MIB)])
    log.commit("spark", 1)
    writer.submit(lines(1, 2 * MIB), answers.done())
    wait_for_queue(writer)
    assert answers.places() == [1]
    assert [each.events for each in watch.deleted] == [1]


def test_a_full_log_refuses_what_is_unread_and_recovers_after_the_commit(
    log: Log, writer: GroupCommitWriter, answers: Answers
) -> None:
    writer.start_consumer("spark", "earliest").result(30)
    log.append([lines(1, 3 * MIB)])
    writer.submit(lines(1, 2 * MIB), answers.done())
    wait_for_queue(writer)
    assert errors(answers) == [LogFull]
    assert writer.commit("spark", 1).result(30) == 1
    wait_for_queue(writer)
    writer.submit(lines(1, 2 * MIB), answers.done())
    wait_for_queue(writer)
    assert answers.given[1] == (1, None)


def test_retention_runs_by_itself_and_its_failure_is_told_and_tried_again(log: Log, watch: Watch) -> None:
    log.append([lines(5)])
    log.start_consumer("spark", "latest")
    faults(log).fail_next("retain")
    with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01), watch.hooks()):
        wait_until(lambda: log.first_offset == 5, 30, "retention")
    assert [type(each) for each in watch.failures] == [LogWriteFailed]


def test_a_number_that_cannot_be_stored_is_told(log: Log, watch: Watch) -> None:
    faults(log).fail_next("append")
    with GroupCommitWriter(log, WriterSettings(retain_every_s=0.01), watch.hooks()) as writer:
        writer.acknowledged(3)
        wait_until(lambda: log.counters()["acknowledged_events"] == 3, 30, "the second attempt")
    assert [type(each) for each in watch.failures] == [LogWriteFailed]


def test_a_batch_that_cannot_be_compared_is_refused_alone(writer: GroupCommitWriter, answers: Answers) -> None:
    writer.submit(identified("ab", connection_id=1), answers.done())
    writer.connection_lost(1)
    wait_for_queue(writer)
    writer.submit(pending(b"junk", 3, kind=PayloadKind.EVENTS), answers.done())
    wait_for_queue(writer)
    assert errors(answers) == [None, EventError]


def test_a_suspect_that_cannot_be_looked_up_is_reported(
    log: Log, writer: GroupCommitWriter, watch: Watch, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.connection_opened(1, "agent")
    writer.submit(identified("ab", connection_id=1), answers.done())
    writer.connection_opened(2, "agent")
    writer.submit(identified("x", connection_id=2), answers.done())
    wait_for_queue(writer)

    def unreadable(_connection_id: int) -> None:
        raise LogError("unreadable")

    monkeypatch.setattr(log.newest_batches, "of", unreadable)
    writer.submit(identified("cd", connection_id=1), answers.done())
    writer.connection_lost(1)
    wait_for_queue(writer)
    assert [str(each) for each in watch.failures] == ["unreadable", "unreadable"]
    assert answers.places() == [0, 2, 3]


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
