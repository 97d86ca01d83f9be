"""Flume sends a batch again when it has not seen its OK: stored once if events have ids, twice if they have none."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import drop, running_agent
from tests.support.bridge_process import running_bridge
from tests.support.delivery import (
    as_file,
    difference,
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

pytestmark = [pytest.mark.java, pytest.mark.slow]

BATCH = 500
LINES = numbered(0, 6000)
SMALL_BATCHES = {"channel.type": "memory", "spool.batch_lines": BATCH, "sinks.batch_size": BATCH}
BRIEF = {**SMALL_BATCHES, "sinks.connect_timeout_ms": 2000, "sinks.request_timeout_ms": 2000}


def deduplicated(bridge: RunningBridge) -> int:
    """How many events the bridge left out; all that arrived are either stored or left out."""
    now = bridge.status()
    left_out = now.counters["deduplicated_events"]
    assert bridge.metric("headrace_bridge_received_events_total") == now.counters["stored_events"] + left_out
    return left_out


# The first answer carries the handshake's; 4 and 5 lose the same batch twice.
@pytest.mark.parametrize("lost", [(1,), (4, 5)])
@pytest.mark.parametrize("channel", ["memory", "file"])
def test_a_batch_whose_ok_was_lost_is_stored_once(tmp_path: Path, lost: tuple[int, ...], channel: str) -> None:
    with running_bridge(tmp_path / "bridge") as bridge, losing(bridge.avro_port, *lost) as proxy:
        changes = {**SMALL_BATCHES, "channel.type": channel}
        with running_agent(tmp_path, [place(proxy.port)], changes) as agent:
            drop(tmp_path, "access.log", as_file(LINES))
            wait_sent(agent, len(LINES))
        assert proxy.swallowed == list(lost)
        assert not difference(bridge.bodies(), LINES)
        assert 0 < deduplicated(bridge) <= len(lost) * BATCH


def test_without_ids_a_batch_whose_ok_was_lost_is_stored_twice(tmp_path: Path) -> None:
    with running_bridge(tmp_path / "bridge") as bridge, losing(bridge.avro_port, 4) as proxy:
        with running_agent(tmp_path, [place(proxy.port)], {**SMALL_BATCHES, "headers.id": False}) as agent:
            drop(tmp_path, "access.log", as_file(LINES))
            wait_sent(agent, len(LINES))
        bodies = bridge.bodies()
        twice = len(bodies) - len(LINES)
        assert 0 < twice <= BATCH
        # The batch lies there twice, one right behind the other, and everything else once and in order.
        end = next(number for number, body in enumerate(bodies) if body != LINES[number])
        assert not difference(bodies, LINES[:end] + LINES[end - twice :])
        assert deduplicated(bridge) == 0


@pytest.mark.parametrize("give_ups", [1, 2])
def test_a_batch_that_a_frozen_bridge_answers_too_late_is_stored_once(tmp_path: Path, port: int, give_ups: int) -> None:
    """What the agent sent before it gave up lies in the socket, and is stored when the bridge goes on."""
    half = len(LINES) // 2
    with (
        running_bridge(tmp_path / "bridge", listening(port)) as bridge,
        running_agent(tmp_path, [place(port)], BRIEF) as agent,
    ):
        drop(tmp_path, "first.log", as_file(LINES[:half]))
        wait_sent(agent, half)
        bridge.process.send_signal(signal.SIGSTOP)
        try:
            drop(tmp_path, "second.log", as_file(LINES[half:]))
            wait_failures(agent, give_ups)
        finally:
            bridge.process.send_signal(signal.SIGCONT)
        wait_sent(agent, len(LINES))
        wait_stored(bridge, len(LINES))
        assert not difference(bridge.bodies(), LINES)
        assert deduplicated(bridge) > 0


def test_a_batch_that_a_network_brings_after_it_was_sent_again_is_stored_once(tmp_path: Path) -> None:
    """An outage that outlasts the agent's patience: its new connection gets through before the old one's bytes do."""
    half = len(LINES) // 2
    with running_bridge(tmp_path / "bridge") as bridge, losing(bridge.avro_port) as proxy:
        with running_agent(tmp_path, [place(proxy.port)], BRIEF) as agent:
            drop(tmp_path, "first.log", as_file(LINES[:half]))
            wait_sent(agent, half)
            proxy.hold()
            drop(tmp_path, "second.log", as_file(LINES[half:]))
            wait_sent(agent, len(LINES))
            assert not difference(bridge.bodies(), LINES)
            proxy.release()
            received = "headrace_bridge_received_events_total"
            wait_until(lambda: bridge.metric(received) > len(LINES), 30, "the late copy")
            wait_until(lambda: bridge.metric("headrace_bridge_open_connections") == 1, 30, "the old connection to end")
        assert not difference(bridge.bodies(), LINES)
        assert 0 < deduplicated(bridge) <= BATCH
