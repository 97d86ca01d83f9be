"""One agent before two bridges. No line is lost; what may be doubled, and why, is said by the tests.

Two bridges do not know of each other's batches. A batch whose OK was lost goes to the other bridge at once, and is then
in both logs: ids prevent doubles within one bridge's log only. Over both logs the id header still tells which.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import drop, running_agent
from tests.support.bridge_process import running_bridge
from tests.support.delivery import (
    as_file,
    difference,
    headers_of,
    listening,
    numbered,
    place,
    wait_failures,
    wait_sent,
    wait_stored,
)
from tests.support.lossy_proxy import losing
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.bridge_process import RunningBridge

pytestmark = pytest.mark.java

BATCH = 200
CHANGES = {
    "channel.type": "memory",
    "spool.batch_lines": BATCH,
    "sinks.batch_size": BATCH,
    "sinks.group": "load_balance",
    "sinks.max_penalty_ms": 1000,
}


def ids_of(bridge: RunningBridge) -> list[str]:
    """The ids of all events of a log, in order."""
    return [each["id"] for each in headers_of(bridge)]


def assert_all_there(lines: list[bytes], one: RunningBridge, other: RunningBridge) -> list[str]:
    """Every line is in one log at least, and in each log once at most; return the ids that are in both."""
    ids = [ids_of(one), ids_of(other)]
    assert all(len(set(each)) == len(each) for each in ids)
    both = set(ids[0]) & set(ids[1])
    # Without the second copy of those that are in both: each line once.
    bodies = one.bodies() + [body for body, event in zip(other.bodies(), ids[1], strict=True) if event not in both]
    assert Counter(bodies) == Counter(lines)
    return [event for event in ids[0] if event in both]


@pytest.mark.slow
def test_load_balance_goes_on_when_one_of_two_bridges_is_killed(tmp_path: Path, port: int) -> None:
    lines = numbered(0, 40_000)
    killed_folder, settings = tmp_path / "killed", listening(port)
    with running_bridge(killed_folder, settings) as killed, running_bridge(tmp_path / "other") as other:
        with running_agent(tmp_path, [place(port), place(other.avro_port)], CHANGES) as agent:
            drop(tmp_path, "access.log", as_file(lines))
            wait_stored(killed, len(lines) // 8)
            before = other.status().next_offset
            assert before > 0
            killed.kill()
            wait_sent(agent, len(lines))
        assert other.status().next_offset > before
        with running_bridge(killed_folder, settings) as again:
            both = assert_all_there(lines, again, other)
            # At the most the last batch of the killed one, when it had no time to write the OK or Flume none to read.
            assert len(both) <= BATCH
            assert ids_of(again)[len(ids_of(again)) - len(both) :] == both


@pytest.mark.slow
def test_a_killed_bridge_of_a_load_balance_group_gets_its_share_again_when_it_is_back(
    tmp_path: Path, port: int
) -> None:
    lines = numbered(0, 4000)
    folder, settings = tmp_path / "killed", listening(port)
    with (
        running_bridge(folder, settings) as killed,
        running_bridge(tmp_path / "other") as other,
        running_agent(tmp_path, [place(port), place(other.avro_port)], CHANGES) as agent,
    ):
        killed.kill()
        drop(tmp_path, "first.log", as_file(lines[:2000]))
        wait_sent(agent, 2000)
        assert not difference(other.bodies(), lines[:2000])
        with running_bridge(folder, settings) as again:
            wait_until(lambda: again.metric("headrace_bridge_open_connections") == 1, 60, "the agent to be back")
            drop(tmp_path, "second.log", as_file(lines[2000:]))
            wait_sent(agent, len(lines))
            assert again.status().next_offset > 0
            assert assert_all_there(lines, again, other) == []


def test_a_batch_whose_ok_was_lost_goes_to_the_other_bridge_and_is_in_both_logs(tmp_path: Path) -> None:
    lines = numbered(0, 4000)
    with running_bridge(tmp_path / "one") as one, running_bridge(tmp_path / "other") as other:
        with losing(one.avro_port, 3) as proxy:
            bridges = [place(proxy.port), place(other.avro_port)]
            with running_agent(tmp_path, bridges, CHANGES) as agent:
                drop(tmp_path, "access.log", as_file(lines))
                wait_sent(agent, len(lines))
            assert proxy.swallowed == [3]
        both = assert_all_there(lines, one, other)
        assert 0 < len(both) <= BATCH
        assert one.status().next_offset + other.status().next_offset == len(lines) + len(both)


def test_failover_sends_all_to_the_other_while_the_preferred_bridge_is_down(tmp_path: Path, port: int) -> None:
    lines = numbered(0, 6000)
    changes = {**CHANGES, "sinks.group": "failover"}
    with (
        running_bridge(tmp_path / "other") as other,
        running_agent(tmp_path, [place(port), place(other.avro_port)], changes) as agent,
    ):
        drop(tmp_path, "first.log", as_file(lines[:3000]))
        wait_sent(agent, 3000)
        wait_failures(agent, 1)
        assert not difference(other.bodies(), lines[:3000])
        with running_bridge(tmp_path / "preferred", listening(port)) as preferred:
            wait_until(lambda: preferred.metric("headrace_bridge_open_connections") == 1, 60, "the way back")
            drop(tmp_path, "second.log", as_file(lines[3000:]))
            wait_sent(agent, len(lines))
            assert not difference(preferred.bodies(), lines[3000:])
        assert not difference(other.bodies(), lines[:3000])


@pytest.mark.slow
def test_failover_goes_to_the_other_in_the_middle_of_a_load(tmp_path: Path, port: int) -> None:
    lines = numbered(0, 40_000)
    changes = {**CHANGES, "sinks.group": "failover"}
    folder = tmp_path / "preferred"
    with running_bridge(tmp_path / "other") as other:
        with (
            running_bridge(folder, listening(port)) as preferred,
            running_agent(tmp_path, [place(port), place(other.avro_port)], changes) as agent,
        ):
            drop(tmp_path, "access.log", as_file(lines))
            wait_stored(preferred, len(lines) // 8)
            assert other.status().next_offset == 0
            preferred.kill()
            wait_sent(agent, len(lines))
        with running_bridge(folder, listening(port)) as again:
            both = assert_all_there(lines, again, other)
            assert len(both) <= BATCH
            # Each log is in order, and the other one goes on where the preferred one ended.
            assert not difference(again.bodies() + other.bodies()[len(both) :], lines)
