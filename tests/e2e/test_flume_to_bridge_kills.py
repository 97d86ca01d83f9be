"""The bridge is ended in the middle of an agent's load, with and without warning: each line is in its log once."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import drop, running_agent
from tests.support.bridge_process import running_bridge
from tests.support.delivery import as_file, difference, listening, numbered, place, wait_sent, wait_stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.bridge_process import RunningBridge

pytestmark = [pytest.mark.java, pytest.mark.slow]

KILLS = 5
LINES = numbered(0, 60_000)
# Small batches, so that an end finds the agent between any two of many steps.
CHANGES = {"channel.type": "memory", "spool.batch_lines": 200, "sinks.batch_size": 200}


def assert_dense_and_whole(bridge: RunningBridge) -> None:
    """Every line once, in order, under the offsets 0, 1, 2, ..."""
    now = bridge.status()
    table = bridge.read(0, now.next_offset)
    assert table["offset"].to_pylist() == list(range(len(LINES)))
    assert not difference(table["body"].to_pylist(), LINES)
    assert now.counters["stored_events"] == len(LINES)


def test_five_kills_during_a_load_lose_and_double_nothing(tmp_path: Path, port: int) -> None:
    moments = random.Random(20150517)  # noqa: S311 - repeatable on purpose
    share = len(LINES) // (KILLS + 1)
    folder, settings = tmp_path / "bridge", listening(port)
    with ExitStack() as stack:
        bridge = stack.enter_context(running_bridge(folder, settings))
        agent = stack.enter_context(running_agent(tmp_path, [place(port)], CHANGES))
        drop(tmp_path, "access.log", as_file(LINES))
        for number in range(KILLS):
            wait_stored(bridge, number * share + moments.randrange(1, share))
            before = bridge.status().next_offset
            bridge.kill()
            assert before < len(LINES), "the load was over before the kill"
            bridge = stack.enter_context(running_bridge(folder, settings))
            assert bridge.status().next_offset >= before
        wait_sent(agent, len(LINES))
        assert_dense_and_whole(bridge)


@pytest.mark.parametrize("channel", ["memory", "file"])
def test_a_bridge_that_is_stopped_during_a_load_goes_on_where_it_was(tmp_path: Path, port: int, channel: str) -> None:
    folder, settings = tmp_path / "bridge", listening(port)
    with (
        running_bridge(folder, settings) as bridge,
        running_agent(tmp_path, [place(port)], {**CHANGES, "channel.type": channel}) as agent,
    ):
        drop(tmp_path, "access.log", as_file(LINES))
        wait_stored(bridge, len(LINES) // 4)
        before = bridge.status().next_offset
        assert bridge.stop() == 0
        assert before < len(LINES), "the load was over before the stop"
        with running_bridge(folder, settings) as again:
            assert again.status().next_offset >= before
            wait_sent(agent, len(LINES))
            assert_dense_and_whole(again)
