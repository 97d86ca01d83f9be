"""Appending, consumers, the cap, and opening again."""

from __future__ import annotations

import errno
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from avro_bridge.errors import (
    BadRequest,
    LogClosed,
    LogError,
    LogFull,
    LogLocked,
    LogVersion,
    LogWriteFailed,
    RangeAbove,
    RangeBelow,
)
from avro_bridge.log.folder_lock import claim_folder, is_locked
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, FaultyEnvironment, edit_meta, fill, lines, pending, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = LogSettings(max_bytes=4 * MIB)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.open(tmp_path / "log", SETTINGS) as opened:
        yield opened


def test_a_new_log_is_empty_and_has_an_identity(log: Log) -> None:
    assert str(uuid.UUID(log.log_id)) == log.log_id
    assert (log.first_offset, log.next_offset, log.used_bytes, log.max_bytes) == (0, 0, 0, 4 * MIB)
    assert set(log.counters().values()) == {0}
    assert stored(log) == []


def test_offsets_are_dense_over_batches_and_groups(log: Log) -> None:
    assert log.append([pending(b"a", 3), pending(b"b", 1)]) == [0, 3]
    assert log.append([pending(b"c", 2)]) == [4]
    assert stored(log) == [(0, 3, b"a"), (3, 1, b"b"), (4, 2, b"c")]


def test_the_counters_say_what_was_written(log: Log) -> None:
    log.append([pending(b"abc", 3), pending(b"d", 1)], acknowledged_events=7)
    counters = log.counters()
    assert counters["stored_batches"] == 2
    assert counters["stored_events"] == log.next_offset == 4
    assert counters["stored_bytes"] == 4
    assert counters["acknowledged_events"] == 7


def test_a_batch_of_no_events_stores_nothing_but_its_count_of_duplicates(log: Log) -> None:
    empty = pending(b"\0", 0)
    empty.duplicates = 5
    assert log.append([empty, pending(b"x", 1)]) == [None, 0]
    assert stored(log) == [(0, 1, b"x")]
    assert log.counters()["deduplicated_events"] == 5
    assert log.counters()["stored_batches"] == 1


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([pending(b"a", 3)], acknowledged_events=3)
        log.start_consumer("spark", 1)
        before = log.metadata()
    with Log.open(tmp_path, SETTINGS) as log:
        after = log.metadata()
        assert (after.log_id, after.next_offset, after.counters) == (before.log_id, 3, before.counters)
        assert after.consumers == before.consumers
        assert log.append([pending(b"b", 1)]) == [3]


def test_offsets_are_not_used_again_after_everything_was_deleted(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([lines(5)])
        log.start_consumer("spark", "earliest")
        log.commit("spark", 5)
        assert log.retain(0).events == 5
    with Log.open(tmp_path, SETTINGS) as log:
        assert (log.first_offset, log.next_offset, log.used_bytes) == (5, 5, 0)
        assert log.append([lines(1)]) == [5]


def test_connection_ids_are_not_used_again_by_a_later_life(tmp_path: Path) -> None:
    seen = set()
    for _life in range(3):
        with Log.open(tmp_path, SETTINGS) as log:
            for _connection in range(3):
                number = log.new_connection_id()
                assert number not in seen
                seen.add(number)
                log.append([lines(1, connection_id=number)])
    assert max(seen) < 2**63


def test_a_log_has_one_writer_but_can_be_opened_through_a_claim(tmp_path: Path) -> None:
    with Log.open(claim_folder(tmp_path), SETTINGS) as log:
        assert log.folder == tmp_path / "0"
        with pytest.raises(LogLocked):
            Log.open(tmp_path / "0", SETTINGS)
    with Log.open(tmp_path / "0", SETTINGS):
        pass


def test_a_log_of_a_newer_program_is_refused_and_unlocked(tmp_path: Path) -> None:
    Log.open(tmp_path, SETTINGS).close()
    edit_meta(tmp_path, b"format", b"3")
    for open_it in (Log.open, Log.open_readonly):
        with pytest.raises(LogVersion, match="format version 3, this program reads up to 2: start the program that"):
            open_it(tmp_path)
    assert not is_locked(tmp_path)


def test_a_folder_that_holds_something_else_is_refused_and_unlocked(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"x" * 10_000)
    with pytest.raises(LogError, match="cannot be opened"):
        Log.open(tmp_path, SETTINGS)
    assert not is_locked(tmp_path)


def test_a_folder_that_cannot_be_synced_is_refused_and_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sync(_folder: Path) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("avro_bridge.log.log.sync_folder", no_sync)
    with pytest.raises(LogError, match="its folder cannot be synced: Invalid argument"):
        Log.open(tmp_path, SETTINGS)
    assert not is_locked(tmp_path)


def test_tables_without_an_identity_are_no_log(tmp_path: Path) -> None:
    FaultyEnvironment(tmp_path, map_bytes=MIB, lock=claim_folder(tmp_path / "locks")).close()
    with pytest.raises(LogError, match="holds no log"):
        Log.open_readonly(tmp_path)


def test_a_view_reads_beside_and_cannot_write(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([pending(b"a", 3)])
        log.start_consumer("spark", "latest")
        identity, counters = log.log_id, log.counters()
    with Log.open_readonly(tmp_path) as view:
        assert (view.log_id, view.first_offset, view.next_offset) == (identity, 0, 3)
        assert view.used_bytes > 0
        assert view.counters() == counters
        assert view.consumers()["spark"].start == 3
        assert stored(view) == [(0, 3, b"a")]
        assert not hasattr(view, "append")


def test_the_cap_refuses_and_says_the_numbers(log: Log) -> None:
    log.append([lines(1, 3 * MIB)])
    used = log.used_bytes
    with pytest.raises(LogFull, match=rf"{used} of {4 * MIB} are used; consumers must commit, or raise max_bytes"):
        log.append([lines(1, 100), lines(1, 2 * MIB)])
    assert (log.next_offset, log.used_bytes) == (1, used)
    assert log.append([lines(1, 100)]) == [1]


def test_a_full_log_can_still_delete_and_then_takes_batches_again(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, slack_bytes=MIB)) as log:
        log.start_consumer("spark", "earliest")
        for _round in range(6):
            fill(log, [lines(1, 60_000)] * 4)
            assert log.used_bytes > MIB * 3 // 4
            log.commit("spark", log.next_offset)
            while log.retain(0).more:
                pass
            assert log.used_bytes == 0
    assert (tmp_path / "data.mdb").stat().st_size <= 2 * MIB


@pytest.mark.parametrize("size", [1, 1990, 2000, 2010, 4080, 4100, 200_000])
def test_the_cap_is_reckoned_with_what_lmdb_really_takes(tmp_path: Path, size: int) -> None:
    group = [lines(1, size)] * max(1, min(500, 50_000 // size))
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, slack_bytes=MIB)) as log:
        fill(log, group)
        assert MIB * 3 // 4 < log.used_bytes <= MIB


def test_a_batch_that_lies_where_the_next_one_belongs_is_not_overwritten(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([pending(b"a", 2)])
    edit_meta(tmp_path, b"state", b'{"lives": 1, "next_offset": 0, "counters": {}}')
    with Log.open(tmp_path, SETTINGS) as log:
        with pytest.raises(LogError, match="at or above the next offset"):
            log.append([pending(b"b", 1)])
        assert log.next_offset == 0


@pytest.mark.parametrize(("position", "start"), [("earliest", 4), ("latest", 10), (4, 4), (7, 7), (10, 10)])
def test_a_consumer_starts_where_it_asks(log: Log, position: Any, start: int) -> None:
    log.append([lines(4), lines(6)])
    log.start_consumer("reader", 4)
    log.retain(0)
    assert log.start_consumer("spark", position) == start
    assert (log.consumers()["spark"].start, log.consumers()["spark"].committed) == (start, start)


def test_the_first_call_of_a_name_decides_for_good(log: Log) -> None:
    log.append([lines(4)])
    assert log.start_consumer("spark", "latest") == 4
    log.append([lines(4)])
    assert log.start_consumer("spark", "latest") == 4
    assert log.start_consumer("spark", "earliest") == 4
    assert log.consumers()["spark"].committed == 4


def test_commit_moves_forwards_only(log: Log) -> None:
    log.append([lines(10)])
    log.start_consumer("spark", "earliest")
    assert log.commit("spark", 6) == 6
    assert log.commit("spark", 2) == 6
    assert log.commit("spark", 6) == 6
    with pytest.raises(RangeAbove, match="offset 11 is above the next one to be stored, 10"):
        log.commit("spark", 11)
    assert log.consumers()["spark"].committed == 6


def test_commit_of_an_unknown_consumer_says_start_it_first(log: Log) -> None:
    with pytest.raises(BadRequest, match="'nobody' is not known here: start it first"):
        log.commit("nobody", 0)


def test_forget(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.start_consumer("spark", "earliest")
        assert log.forget("spark")
        assert not log.forget("spark")
        assert not log.consumers()
    with Log.open(tmp_path, SETTINGS) as log:
        assert not log.consumers()


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "x" * 201, "ü" * 101])
def test_an_unusable_name_is_refused(log: Log, name: str) -> None:
    with pytest.raises(BadRequest, match="1 to 200 bytes and no control characters"):
        log.start_consumer(name, "earliest")


def test_the_number_of_consumers_is_bounded(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_bridge.log.consumers.MAX_CONSUMERS", 2)
    log.start_consumer("a", "earliest")
    log.start_consumer("b", "earliest")
    with pytest.raises(BadRequest, match="forget one first"):
        log.start_consumer("c", "earliest")
    log.start_consumer("a", "latest")


def test_positions_outside_the_log_are_refused(log: Log) -> None:
    log.append([lines(4), lines(6)])
    log.start_consumer("reader", "earliest")
    log.commit("reader", 4)
    log.retain(0)
    with pytest.raises(RangeBelow, match="offset 3 is below the first one that is kept, 4"):
        log.start_consumer("spark", 3)
    with pytest.raises(RangeAbove, match="offset 11 is above the next one to be stored, 10"):
        log.start_consumer("spark", 11)
    assert log.start_consumer("spark", 4) == 4


@pytest.mark.parametrize("position", ["newest", True, None, 1.5])
def test_a_position_that_is_none_is_refused(log: Log, position: Any) -> None:
    with pytest.raises(BadRequest, match="neither 'earliest', 'latest' nor an offset"):
        log.start_consumer("spark", position)


def test_a_closed_log_refuses(tmp_path: Path) -> None:
    log = Log.open(tmp_path, SETTINGS)
    log.append([lines(2)])
    log.close()
    log.close()
    for use in (lambda: log.append([lines(1)]), lambda: stored(log), lambda: log.start_consumer("c", "latest")):
        with pytest.raises(LogClosed):
            use()


@pytest.mark.parametrize(
    ("label", "act"),
    [
        ("append", lambda log: log.append([pending(b"b", 5), pending(b"c", 1)])),
        ("commit", lambda log: log.commit("spark", 2)),
        ("start_consumer", lambda log: log.start_consumer("other", "latest")),
        ("forget", lambda log: log.forget("spark")),
        ("retain", lambda log: log.retain(2_000_000)),
    ],
)
def test_a_write_that_fails_once_leaves_no_trace_and_works_when_tried_again(
    tmp_path: Path, label: str, act: Any
) -> None:
    settings = LogSettings(max_bytes=MIB, retain_max_age_s=0.5)
    with Log.open(tmp_path / "broken", settings, FaultyEnvironment) as log:
        log.append([pending(b"a", 3)])
        log.start_consumer("spark", "earliest")
        before, batches = log.metadata(), stored(log)
        environment = log._environment
        assert isinstance(environment, FaultyEnvironment)
        environment.fail_next(label)
        with pytest.raises(LogWriteFailed):
            act(log)
        assert log.metadata() == before
        assert stored(log) == batches
        with environment.read() as transaction:
            assert transaction.get(b"state", db=environment.meta) is not None
        act(log)
        after, batches = log.metadata(), stored(log)
    with Log.open(tmp_path / "broken", settings) as log:
        again = log.metadata()
        assert (again.counters, again.consumers, again.next_offset) == (
            after.counters,
            after.consumers,
            after.next_offset,
        )
        assert stored(log) == batches
