"""Delayed originals, whose resend was stored first. Connections are numbers; ids are letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.log.dedup.late_copies import LateCopies
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, Answers, identified, lines, stored
from tests.support.log_writer import Gate
from tests.support.resends import Bridge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from avro_bridge.log.writer import GroupCommitWriter


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    """Connection 1 has sent ``ab``, and connection 2 comes from the same host."""
    with Log.open(tmp_path / "log", LogSettings(max_bytes=MIB, doubt_max_bytes=10_000)) as log:
        bridge = Bridge(log)
        bridge.open(1)
        bridge.send("ab", 1)
        bridge.open(2)
        yield bridge


def test_what_a_newer_connection_has_brought_is_dropped_when_it_arrives_late(bridge: Bridge) -> None:
    assert bridge.send("cdef", 2) == "cdef"
    bridge.send("gh", 2)
    assert bridge.send("cd", 1) == ""
    bridge.lose(1)
    assert bridge.send("ij", 2) == "ij"


def test_a_late_copy_of_what_was_partly_stored_already(bridge: Bridge) -> None:
    assert bridge.send("abcd", 2) == "cd", "ab was stored on connection 1, and its OK was lost"
    bridge.send("e", 2)
    assert bridge.send("abcd", 1) == ""


def test_a_connection_that_lives_goes_on_unhindered(bridge: Bridge) -> None:
    bridge.send("cd", 2)
    assert bridge.send("ef", 1) == "ef"
    assert bridge.send("cd", 1) == "cd", "its next batch has shown that it was not given up"


def test_first_batches_of_several_newer_connections_are_known(bridge: Bridge) -> None:
    bridge.send("cd", 2)
    bridge.lose(2)
    bridge.open(3)
    bridge.send("ef", 3)
    assert bridge.send("cef", 1) == ""


def test_another_host_has_no_late_copies(bridge: Bridge) -> None:
    bridge.open(9, "another host")
    bridge.send("x", 9)
    bridge.send("cd", 2)
    assert bridge.send("cd", 9) == "cd"


def test_a_connection_that_ended_leaves_nothing_to_wait_for(bridge: Bridge) -> None:
    bridge.lose(1)
    bridge.send("cd", 2)
    assert bridge.send("cd", 1) == "cd", "no such connection: an id is given once"


def test_what_was_refused_is_no_late_copy(bridge: Bridge) -> None:
    refused = identified(["c", "d"], connection_id=2)
    bridge.suspects.drop_resent(refused)
    bridge.send("ef", 2)
    assert bridge.send("cd", 1) == "cd", "compared is not stored"


def test_lines_without_ids_are_never_late(bridge: Bridge) -> None:
    bridge.store(lines(2, connection_id=2))
    bridge.store(lines(2, connection_id=1))
    assert bridge.log.next_offset == 6


def test_memory_is_bounded(bridge: Bridge) -> None:
    many = [f"{number:04d}" for number in range(100)]
    bridge.store(identified(many, connection_id=2))
    assert bridge.suspects.evicted == 1
    assert bridge.store(identified(many, connection_id=1)) == "".join(many)


def test_memory_is_given_back() -> None:
    late = LateCopies(100)
    late.watch(1)
    late.watch(2)
    assert late.add(1, {b"a"}, 60)
    assert not late.add(2, {b"a"}, 60)
    assert set(late.ids(1)) == {b"a"}
    assert not late.ids(2)
    late.watch(1)
    assert set(late.ids(1)) == {b"a"}, "watched already"
    late.forget(1)
    late.forget(1)
    assert not late.ids(1)
    assert 1 not in late
    assert late.add(2, {b"a"}, 100)


def test_copies_that_wait_together_are_stored_once(log: Log, writer: GroupCommitWriter, answers: Answers) -> None:
    gate = Gate(writer)
    writer.connection_opened(1, "agent")
    writer.submit(identified(["a"], connection_id=1), answers.done())
    writer.connection_opened(2, "agent")
    writer.submit(identified(["b", "c"], connection_id=2), answers.done())
    writer.submit(identified(["b", "c"], connection_id=1), answers.done())
    writer.submit(identified(["d"], connection_id=2), answers.done())
    gate.open()
    writer.close()
    assert answers.places() == [0, 1, None, 3]
    assert [count for _first, count, _payload in stored(log)] == [1, 2, 1]
