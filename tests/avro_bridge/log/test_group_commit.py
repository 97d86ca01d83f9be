"""Group commit without the writer's thread: results, what fits, and what stays counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import BridgeError, EventError, LogFull, LogWriteFailed
from avro_bridge.log.dedup.suspects import Suspects
from avro_bridge.log.group_commit import GroupCommit, WaitingBatch
from avro_bridge.log.record import PayloadKind
from tests.support.log_helpers import MIB, identified, lines, pending
from tests.support.log_writer import Group, Watch, faults, groups_of

if TYPE_CHECKING:
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch


@pytest.fixture
def groups(log: Log, watch: Watch) -> GroupCommit:
    return GroupCommit(log, Suspects(log.newest_batches, log.settings), watch.hooks(), clock_us=lambda: 1_000_000)


def store(groups: GroupCommit, batches: list[PendingBatch]) -> list[tuple[int | None, type[BridgeError] | None]]:
    """Store batches; return first offset and kind of error of each, in the order of ``batches``."""

    def unused(_first_offset: int | None, _error: BridgeError | None) -> None:
        raise AssertionError("the caller of GroupCommit answers")

    waiting = [WaitingBatch(each, unused, each.stored_size) for each in batches]
    results = {id(of): (first, None if error is None else type(error)) for of, first, error in groups.store(waiting)}
    return [results[id(each)] for each in waiting]


def test_a_group_is_one_transaction(log: Log, groups: GroupCommit) -> None:
    assert store(groups, [lines(3), lines(2), pending(b"", 0)]) == [(0, None), (3, None), (None, None)]
    assert faults(log).reached.count("append") == 1
    assert groups_of(log) == [Group(batches=3, events=5, payload_bytes=200, deduplicated_events=0)]


def test_a_batch_that_cannot_be_compared_does_not_hinder_the_others(log: Log, groups: GroupCommit) -> None:
    log.append([identified(["a"], connection_id=1)])
    suspicious = GroupCommit(log, Suspects(log.newest_batches, log.settings), Watch().hooks(), lambda: 0)
    junk = pending(b"junk", 3, kind=PayloadKind.EVENTS, connection_id=2)
    results = store(suspicious, [junk, identified(["a", "b"], connection_id=3)])
    assert results == [(None, EventError), (1, None)]


def test_what_does_not_fit_is_refused_and_smaller_batches_are_stored(log: Log, groups: GroupCommit) -> None:
    results = store(groups, [lines(1, 3 * MIB), lines(1, 2 * MIB), lines(1, 2 * MIB), lines(1, 100)])
    assert results == [(0, None), (None, LogFull), (None, LogFull), (1, None)]


def test_retention_makes_room_once(log: Log, groups: GroupCommit, watch: Watch) -> None:
    log.append([lines(1, 3 * MIB)])
    log.start_consumer("spark", "latest")
    assert store(groups, [lines(1, 3 * MIB)]) == [(1, None)]
    assert [each.events for each in watch.deleted] == [1]
    assert not groups.retain()


def test_where_retention_fails_too_the_batch_is_refused_and_the_next_one_is_stored(
    log: Log, groups: GroupCommit
) -> None:
    log.append([lines(1, 3 * MIB)])
    log.start_consumer("spark", "latest")
    faults(log).fail_next("retain")
    assert store(groups, [lines(1, 3 * MIB)]) == [(None, LogFull)]
    assert store(groups, [lines(1, 3 * MIB)]) == [(1, None)]


def test_retention_says_when_there_is_more(log: Log, groups: GroupCommit) -> None:
    log.append([lines(1, 10)] * (log.settings.retain_batches + 1))
    log.start_consumer("spark", "latest")
    assert groups.retain()
    assert groups.has_more_to_delete
    faults(log).fail_next("retain")
    with pytest.raises(LogWriteFailed):
        groups.retain()
    assert not groups.has_more_to_delete, "or the writer would try again without a pause"


def test_acknowledged_events_outlive_a_failed_transaction(log: Log, groups: GroupCommit) -> None:
    groups.acknowledged(3)
    faults(log).fail_next("append")
    assert store(groups, [lines(1)]) == [(None, LogWriteFailed)]
    groups.acknowledged(4)
    groups.flush()
    assert log.counters()["acknowledged_events"] == 7
    written = len(faults(log).reached)
    groups.flush()
    assert len(faults(log).reached) == written, "nothing is left to write"
