"""Suspects: recognises events that Flume sends again. Connections are numbers; ids are letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import EventError
from avro_bridge.log.log import Log
from avro_bridge.log.record import PayloadKind
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, identified, lines, pending, stored
from tests.support.resends import SECOND_US, Bridge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with Log.open(tmp_path / "log", LogSettings(max_bytes=MIB)) as log:
        yield Bridge(log)


def test_without_suspects_nothing_is_compared(bridge: Bridge) -> None:
    assert bridge.send("abc", 1) == "abc"
    batch = identified(["a"], connection_id=2)
    assert bridge.suspects.drop_resent(batch) is batch
    assert bridge.suspects.count == 0


def test_what_is_sent_again_after_a_lost_connection_is_stored_once(bridge: Bridge) -> None:
    bridge.send("abc", 1)
    bridge.lose(1)
    assert bridge.suspects.count == 1
    assert bridge.send("abc", 2) == ""
    assert bridge.log.next_offset == 3
    assert bridge.log.counters()["deduplicated_events"] == 3


def test_a_batch_cut_otherwise_is_compared_by_event(bridge: Bridge) -> None:
    bridge.send("abcd", 1)
    bridge.lose(1)
    assert bridge.send("xab", 2) == "x"
    assert bridge.send("cdy", 2) == "y"
    assert [payload for _first, _count, payload in stored(bridge.log)][1:] == [
        bytes(identified(["x"]).buffer[identified(["x"]).start :]),
        bytes(identified(["y"]).buffer[identified(["y"]).start :]),
    ]


def test_only_the_newest_batch_is_a_suspect(bridge: Bridge) -> None:
    bridge.send("ab", 1)
    bridge.send("cd", 1)
    bridge.lose(1)
    assert bridge.send("abcd", 2) == "ab"


def test_a_suspect_is_recognised_after_its_own_deletion(bridge: Bridge) -> None:
    bridge.send("ab", 1)
    bridge.log.start_consumer("spark", "latest")
    bridge.log.retain(0)
    bridge.lose(1)
    assert bridge.send("ab", 2) == ""


def test_all_recorded_batches_are_suspects_after_a_restart(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        bridge = Bridge(log)
        bridge.send("xyz", 1)
        bridge.send("ab", 1)
        bridge.send("cd", 2)
        bridge.send("ef", 3)
        bridge.lose(3)
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        bridge = Bridge(log)
        assert bridge.suspects.count == 3
        assert bridge.send("abcdefxyz", 4) == "xyz"


def test_a_suspect_is_cleared_when_all_was_sent_again_and_each_sender_went_on(bridge: Bridge) -> None:
    bridge.send("abcd", 1)
    bridge.lose(1)
    bridge.send("ab", 2)
    bridge.send("x", 2)
    assert bridge.suspects.count == 1, "c and d may still be sent again"
    bridge.send("cd", 3)
    assert bridge.suspects.count == 1, "the second OK may get lost as well"
    bridge.send("y", 3)
    assert bridge.suspects.count == 0
    bridge.send("z", 3)
    assert bridge.recorded() == {2, 3}


def test_an_ok_that_gets_lost_twice(bridge: Bridge) -> None:
    bridge.send("ab", 1)
    bridge.lose(1)
    assert bridge.send("ab", 2) == ""
    bridge.lose(2)
    assert bridge.send("ab", 3) == ""
    assert bridge.send("c", 3) == "c"
    assert bridge.suspects.count == 0


def test_a_suspect_stays_while_one_of_its_senders_was_lost_though_another_went_on(bridge: Bridge) -> None:
    bridge.send("abcd", 1)
    bridge.lose(1)
    bridge.send("ab", 2)
    bridge.send("cd", 3)
    bridge.send("x", 3)
    bridge.lose(2)
    assert bridge.send("ab", 4) == ""


def test_a_new_connection_from_the_same_host_makes_its_siblings_suspect(bridge: Bridge) -> None:
    bridge.open(1)
    bridge.open(2, "another host")
    bridge.send("ab", 1)
    bridge.send("cd", 2)
    bridge.open(3)
    assert bridge.suspects.count == 0, "a connection alone proves nothing and costs nothing"
    assert bridge.suspects.needs_own_group(identified(["a"], connection_id=3))
    assert bridge.send("ab", 3) == ""
    assert not bridge.suspects.needs_own_group(identified(["a"], connection_id=3))
    assert bridge.suspects.count == 1


def test_a_sibling_that_lives_clears_itself_with_its_second_batch(bridge: Bridge) -> None:
    bridge.open(1)
    bridge.send("ab", 1)
    bridge.open(2)
    bridge.send("xy", 2)
    assert bridge.send("cd", 1) == "cd"
    assert bridge.send("cd", 2) == "", "cd may have been sent before the client gave connection 1 up"
    assert bridge.send("ef", 1) == "ef"
    bridge.send("z", 2)
    assert bridge.suspects.count == 0
    bridge.lose(1)
    assert bridge.send("ef", 2) == ""


def test_a_sibling_that_sent_nothing_is_no_suspect(bridge: Bridge) -> None:
    bridge.open(1)
    bridge.open(2)
    assert bridge.send("ab", 2) == "ab"
    assert bridge.suspects.count == 0
    bridge.lose(1)
    assert bridge.suspects.count == 0


def test_a_sibling_whose_next_batch_has_no_ids_is_no_suspect(bridge: Bridge) -> None:
    bridge.open(1)
    bridge.send("ab", 1)
    bridge.open(2)
    bridge.send("xy", 2)
    bridge.store(lines(2, connection_id=1))
    assert bridge.suspects.count == 0
    bridge.send("z", 2)
    bridge.open(3)
    bridge.send("c", 3)
    assert bridge.suspects.count == 1, "the newest batch of connection 2; nothing is left to say of connection 1"


def test_a_connection_that_brings_its_own_events_again(bridge: Bridge) -> None:
    bridge.open(1)
    bridge.send("ab", 1)
    bridge.open(2)
    bridge.send("x", 2)
    assert bridge.send("ab", 1) == ""
    assert bridge.suspects.count == 0


def test_suspects_expire(bridge: Bridge) -> None:
    bridge.send("ab", 1, received_us=1000 * SECOND_US)
    bridge.send("cd", 2, received_us=3000 * SECOND_US)
    bridge.send("ef", 3, received_us=1000 * SECOND_US)
    bridge.lose(1)
    bridge.lose(2)
    bridge.suspects.expire(4600 * SECOND_US)
    assert bridge.suspects.count == 2
    bridge.suspects.expire(4601 * SECOND_US)
    assert bridge.suspects.count == 2, "it checks ten times per expiry only"
    bridge.suspects.expire(5000 * SECOND_US)
    assert bridge.suspects.count == 1
    assert bridge.send("abcd", 4) == "ab"
    assert bridge.recorded() == {2, 4}


def test_memory_for_ids_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, doubt_max_bytes=800)) as log:
        bridge = Bridge(log)
        bridge.send("ab", 1)
        bridge.send("cd", 2)
        bridge.send("ef", 3)
        for connection_id in (1, 2, 3):
            bridge.lose(connection_id)
        assert (bridge.suspects.count, bridge.suspects.evicted) == (2, 1)
        assert bridge.send("abcdef", 4) == "ab"


def test_events_without_ids_are_never_dropped(bridge: Bridge) -> None:
    batch = identified(["a", "", ""], connection_id=1)
    bridge.store(batch)
    bridge.lose(1)
    assert bridge.log.counters()["stored_events"] == 3
    bridge.store(identified(["", "a", ""], connection_id=2))
    assert bridge.log.counters()["stored_events"] == 5


def test_a_header_that_repeats_inside_a_batch_is_no_id(bridge: Bridge) -> None:
    bridge.send("kk", 1)
    bridge.lose(1)
    assert bridge.suspects.count == 0
    bridge.send("ab", 2)
    bridge.lose(2)
    assert bridge.send("aba", 3) == "aba"


def test_a_header_that_is_too_long_is_no_id(bridge: Bridge) -> None:
    long, longest = "x" * 1025, "y" * 1024
    bridge.store(identified([long, longest], connection_id=1))
    bridge.lose(1)
    bridge.store(identified([long, longest], connection_id=2))
    assert bridge.log.counters()["deduplicated_events"] == 1


def test_a_batch_without_ids_leaves_no_record(bridge: Bridge) -> None:
    bridge.store(lines(3, connection_id=1))
    bridge.lose(1)
    bridge.send("x", 2)
    assert bridge.recorded() == {2}


def test_an_id_in_two_suspects_belongs_to_the_later_one(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([identified(["a", "b"], connection_id=1), identified(["b", "c"], connection_id=2)])
        bridge = Bridge(log)
        assert bridge.suspects.count == 2
        bridge.suspects.expire(10**16)
        assert bridge.send("abc", 3) == "abc"


def test_losing_a_connection_twice_or_an_unknown_one_is_free(bridge: Bridge) -> None:
    bridge.send("ab", 1)
    bridge.lose(1)
    bridge.lose(1)
    bridge.lose(99)
    assert bridge.suspects.count == 1


def test_a_suspect_that_sent_more_before_it_was_lost(bridge: Bridge) -> None:
    bridge.open(1)
    bridge.send("ab", 1)
    bridge.open(2)
    bridge.send("xy", 2)
    bridge.log.append([identified(["c"], connection_id=1)])
    bridge.lose(1)
    assert bridge.send("abc", 2) == "ab"


def test_lines_are_never_compared(bridge: Bridge) -> None:
    bridge.send("ab", 1)
    bridge.lose(1)
    batch = lines(2, connection_id=2)
    assert bridge.suspects.drop_resent(batch) is batch


def test_a_payload_that_is_no_events_is_an_error_while_ids_are_compared(bridge: Bridge) -> None:
    bridge.send("ab", 1)
    bridge.lose(1)
    with pytest.raises(EventError):
        bridge.suspects.drop_resent(pending(b"junk", 3, kind=PayloadKind.EVENTS))


def test_no_header_no_comparing(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, id_header="")) as log:
        bridge = Bridge(log)
        bridge.send("ab", 1)
        bridge.lose(1)
        assert bridge.send("ab", 2) == "ab"


def test_another_header_may_hold_the_id(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB, id_header="event")) as log:
        bridge = Bridge(log)
        bridge.send("ab", 1)
        bridge.lose(1)
        assert bridge.send("ab", 2) == "ab", "these have their ids under another name"
