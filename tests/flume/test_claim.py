"""A folder has one agent at a time, and a claim outlives the process that made it while a child holds it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flume.agent import Agent
from flume.claim import LOCK_FILE, claim, release
from flume.errors import AgentError
from tests.support.agents import render_small

if TYPE_CHECKING:
    from pathlib import Path


class FakeClock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_second_claim_waits_and_then_is_refused(tmp_path: Path) -> None:
    clock = FakeClock()
    held = claim([tmp_path], 0.0, clock, clock.sleep)
    try:
        with pytest.raises(AgentError, match="another agent is at work on"):
            claim([tmp_path], 5.0, clock, clock.sleep)
        assert clock.now >= 5.0
    finally:
        release(held)
    release(claim([tmp_path], 0.0, clock, clock.sleep))


def test_a_child_that_inherited_the_claim_keeps_it(tmp_path: Path) -> None:
    clock = FakeClock()
    held = claim([tmp_path], 0.0, clock, clock.sleep)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=held) as child:
        release(held)
        with pytest.raises(AgentError, match="another agent"):
            claim([tmp_path], 0.0, clock, clock.sleep)
    assert child.returncode is not None
    release(claim([tmp_path], 0.0, clock, clock.sleep))


def test_an_agent_does_not_start_on_a_folder_that_is_claimed(tmp_path: Path) -> None:
    clock = FakeClock()
    rendered = render_small(tmp_path)
    held = claim([tmp_path / "channel"], 0.0, clock, clock.sleep)
    agent = Agent(rendered, [], java=tmp_path / "never-started", clock=clock, sleep=clock.sleep)
    with pytest.raises(AgentError, match=r"another agent is at work on .*channel"):
        agent.start()
    release(held)
    with pytest.raises(AgentError, match="cannot be started"):
        agent.start()


def test_a_claim_is_all_or_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    with pytest.raises(AgentError, match=r"nothing/\.headrace\.lock: cannot be claimed"):
        claim([tmp_path, tmp_path / "nothing"], 0.0, clock, clock.sleep)
    release(claim([tmp_path], 0.0, clock, clock.sleep))
    assert (tmp_path / LOCK_FILE).exists()
