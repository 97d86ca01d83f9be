"""Retention: which batches are deleted or kept, and which events count as dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.log.log import Log
from avro_bridge.log.record import PayloadKind
from avro_bridge.log.retention import Deleted
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, edit_batch, identified, lines, pending, stored

if TYPE_CHECKING:
    from pathlib import Path

SECOND_US = 1_000_000


def firsts(log: Log) -> list[int]:
    return [first for first, _count, _payload in stored(log)]


def test_nothing_is_deleted_before_every_consumer_committed_it(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([lines(3), lines(3), lines(3)])
        log.start_consumer("slow", "earliest")
        log.start_consumer("fast", "earliest")
        log.commit("fast", 9)
        assert log.retain(0) == Deleted()
        log.commit("slow", 2)
        assert log.retain(0) == Deleted()
        log.commit("slow", 7)
        assert log.retain(0) == Deleted(batches=2, events=6, first_offset=0, end_offset=6)
        assert firsts(log) == [6]
        log.forget("slow")
        assert log.retain(0).events == 3
        counters = log.counters()
        assert (counters["deleted_batches"], counters["deleted_events"], counters["dropped_events"]) == (3, 9, 0)


def test_without_a_consumer_everything_is_kept(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([lines(3)])
        assert log.retain(10**18) == Deleted()
        assert firsts(log) == [0]


def test_age_deletes_the_oldest_and_counts_what_was_not_read(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, retain_max_age_s=60)) as log:
        log.append([lines(4, received_us=second * SECOND_US) for second in (0, 10, 20)])
        log.start_consumer("spark", "earliest")
        log.commit("spark", 5)
        assert log.retain(60 * SECOND_US).events == 4
        dropped = log.retain(75 * SECOND_US)
        assert dropped == Deleted(batches=1, events=4, first_offset=4, end_offset=8, unread_events=3)
        assert firsts(log) == [8]
        assert log.counters()["dropped_events"] == 3


def test_a_young_batch_keeps_older_looking_ones_behind_it(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, retain_max_age_s=60)) as log:
        log.append([lines(1, received_us=100 * SECOND_US), lines(1, received_us=0)])
        assert log.retain(110 * SECOND_US).events == 0
        assert firsts(log) == [0, 1]


def test_size_deletes_the_oldest(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, retain_max_bytes=100_000)) as log:
        log.append([lines(1, 30_000)] * 5)
        dropped = log.retain(0)
        assert dropped.unread_events == dropped.events == 3
        assert log.used_bytes <= 100_000
        assert log.retain(0) == Deleted()


def test_work_is_bounded_and_the_rest_follows(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, retain_batches=2)) as log:
        log.append([lines(1)] * 5)
        log.start_consumer("spark", "earliest")
        log.commit("spark", 5)
        assert [(each.batches, each.more) for each in (log.retain(0), log.retain(0), log.retain(0))] == [
            (2, True),
            (2, True),
            (1, False),
        ]
        assert log.first_offset == log.next_offset == 5


def test_the_ids_of_a_newest_batch_are_kept_in_its_record(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([identified(["a", "b"], connection_id=1), identified(["c", ""], connection_id=2)])
        log.append([identified(["d"], connection_id=1)])
        log.start_consumer("spark", "latest")
        assert log.retain(0).events == 5
        records = log.newest_batches.all()
        assert {each.connection_id: each.ids for each in records} == {1: frozenset({b"d"}), 2: frozenset({b"c"})}
        assert [log.newest_batches.ids(each, "id") for each in records] == [frozenset({b"d"}), frozenset({b"c"})]
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        assert log.newest_batches.all() == records


@pytest.mark.parametrize("header", ["id", ""])
def test_a_batch_that_cannot_say_its_ids_is_deleted_all_the_same(tmp_path: Path, header: str) -> None:
    settings = LogSettings(max_bytes=MIB, id_header=header)
    with Log.open(tmp_path, settings) as log:
        log.append([lines(1, connection_id=1), identified(["x"], connection_id=2)])
        log.append([pending(b"junk", 9, kind=PayloadKind.EVENTS, connection_id=3)])
    edit_batch(tmp_path, 1, lambda value: value[:-1] + b"!")
    with Log.open(tmp_path, settings) as log:
        log.start_consumer("spark", "latest")
        assert log.retain(0).events == 11
        assert [log.newest_batches.ids(each, header) for each in log.newest_batches.all()] == [frozenset()] * 3
