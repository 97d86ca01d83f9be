"""A full log: the bridge refuses, the agent and its spool folder wait, and a consumer's commit sets all of it going."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.agents import drop, running_agent
from tests.support.bridge_process import running_bridge
from tests.support.delivery import as_file, difference, place
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from flume.agent.process import Agent

pytestmark = [pytest.mark.java, pytest.mark.slow]

MIB = 1024 * 1024
CAP = 16 * MIB
BATCH = 1000
CONSUMER = "counts"
FAILED = 'headrace_bridge_replies_total{status="failed"}'
FILES = [[b"%d-%05d " % (part, number) + b"x" * 1000 for number in range(8000)] for part in range(5)]
LINES = [line for part in FILES for line in part]
# 40 MB of lines for a log of 16 MiB, through a channel of 4 MB: the rest must wait in the spool folder.
CHANGES = {
    "spool.batch_lines": BATCH,
    "sinks.batch_size": BATCH,
    "channel.capacity": 4 * BATCH,
    "channel.transaction_capacity": BATCH,
}


def is_full(agent: Agent) -> bool:
    """Whether the agent's channel has no room for another batch of its source."""
    metrics = agent.poll()
    return metrics is not None and metrics.channel_fill_ratio > 1 - BATCH / CHANGES["channel.capacity"]


@pytest.mark.parametrize("channel", ["memory", "file"])
def test_a_full_log_holds_the_agent_back_until_a_consumer_commits(tmp_path: Path, channel: str) -> None:
    with (
        running_bridge(tmp_path / "bridge", {"log": {"max_bytes": CAP}}) as bridge,
        running_agent(tmp_path, [place(bridge.avro_port)], {**CHANGES, "channel.type": channel}) as agent,
    ):
        committed = bridge.act("start", consumer=CONSUMER, log_id=bridge.log_id, position="earliest")["offset"]
        for number, part in enumerate(FILES):
            drop(tmp_path, f"{number}.log", as_file(part))
        wait_until(lambda: bridge.metric(FAILED) >= 1, 60, "a refusal")
        wait_until(lambda: is_full(agent), 60, "the channel to fill")
        last = tmp_path / "spool" / f"{len(FILES) - 1}.log"
        assert last.exists()
        full = bridge.status()
        assert full.used_bytes <= CAP
        assert full.first_offset == 0
        assert not difference(bridge.read(0, full.next_offset)["body"].to_pylist(), LINES[: full.next_offset])
        assert bridge.page("readyz")[0] == 503

        read: list[bytes] = []

        def consumed() -> bool:
            nonlocal committed
            end = bridge.status().next_offset
            read.extend(bridge.read(committed, end)["body"].to_pylist())
            committed = bridge.act("commit", consumer=CONSUMER, log_id=bridge.log_id, offset=end)["offset"]
            return len(read) >= len(LINES)

        wait_until(consumed, 120, "all lines to be read")
        assert not difference(read, LINES)
        wait_until(lambda: not last.exists(), 30, "the last file to be done with")
        now = bridge.status()
        assert now.next_offset == len(LINES)
        assert now.dropped_events == 0
        assert bridge.page("readyz")[0] == 200
