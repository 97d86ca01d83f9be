"""A folder has one agent at a time, and a claim outlives the process that made it while a child holds it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flume.agent import folder_lock as claims
from flume.agent.folder_lock import LOCK_FILE, claim, release
from flume.agent.process import Agent
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


def claim_as(folder: Path, monkeypatch: pytest.MonkeyPatch, *, writes: int, reads_from: int) -> None:
    """Claim a folder as a program of another version does, and give it up."""
    clock = FakeClock()
    with monkeypatch.context() as other:
        other.setattr(claims, "FORMAT_VERSION", writes)
        other.setattr(claims, "OLDEST_VERSION", reads_from)
        release(claim([folder], 0.0, clock, clock.sleep))


def test_a_newer_program_goes_on_with_a_folder_and_the_older_one_then_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    claim_as(tmp_path, monkeypatch, writes=12, reads_from=1)
    for _ in range(2):
        with pytest.raises(
            AgentError, match=r"newer headrace \(format 12, .* up to 1\): use that version, or let it ship"
        ):
            claim_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    claim_as(tmp_path, monkeypatch, writes=12, reads_from=12)


def test_a_folder_of_a_forgotten_version_is_refused_and_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LOCK_FILE).touch()
    for _ in range(2):
        with pytest.raises(
            AgentError, match=r"older headrace \(format 1, this one knows 2 to 3\): let that one ship all"
        ):
            claim_as(tmp_path, monkeypatch, writes=3, reads_from=2)
    claim_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    assert (tmp_path / LOCK_FILE).read_bytes() == b"1\n"


def test_a_lock_file_with_something_else_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LOCK_FILE).write_bytes(b"what is this")
    with pytest.raises(AgentError, match=r"\.headrace\.lock is damaged"):
        claim_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    (tmp_path / LOCK_FILE).unlink()
    claim_as(tmp_path, monkeypatch, writes=1, reads_from=1)
