"""A folder has one agent at a time, and a lock outlives the process that took it while a child holds it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flume.agent import folder_lock
from flume.agent.folder_lock import LOCK_FILE, lock_folders, unlock
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


def test_a_second_agent_waits_and_is_then_refused(tmp_path: Path) -> None:
    clock = FakeClock()
    held = lock_folders([tmp_path], 0.0, clock, clock.sleep)
    try:
        with pytest.raises(AgentError, match="another agent uses"):
            lock_folders([tmp_path], 5.0, clock, clock.sleep)
        assert clock.now >= 5.0
    finally:
        unlock(held)
    unlock(lock_folders([tmp_path], 0.0, clock, clock.sleep))


def test_a_child_that_inherited_the_lock_keeps_it(tmp_path: Path) -> None:
    clock = FakeClock()
    held = lock_folders([tmp_path], 0.0, clock, clock.sleep)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=held) as child:
        unlock(held)
        with pytest.raises(AgentError, match="another agent"):
            lock_folders([tmp_path], 0.0, clock, clock.sleep)
    assert child.returncode is not None
    unlock(lock_folders([tmp_path], 0.0, clock, clock.sleep))


def test_an_agent_does_not_start_on_a_folder_that_is_locked(tmp_path: Path) -> None:
    clock = FakeClock()
    rendered = render_small(tmp_path)
    held = lock_folders([tmp_path / "channel"], 0.0, clock, clock.sleep)
    agent = Agent(rendered, [], java=tmp_path / "never-started", clock=clock, sleep=clock.sleep)
    with pytest.raises(AgentError, match=r"another agent uses .*channel"):
        agent.start()
    unlock(held)
    with pytest.raises(AgentError, match="cannot be started"):
        agent.start()


def test_all_folders_are_locked_or_none(tmp_path: Path) -> None:
    clock = FakeClock()
    with pytest.raises(AgentError, match=r"nothing/\.headrace\.lock: cannot be locked"):
        lock_folders([tmp_path, tmp_path / "nothing"], 0.0, clock, clock.sleep)
    unlock(lock_folders([tmp_path], 0.0, clock, clock.sleep))
    assert (tmp_path / LOCK_FILE).exists()


def lock_as(folder: Path, monkeypatch: pytest.MonkeyPatch, *, writes: int, reads_from: int) -> None:
    """Lock a folder as a program of another version does, and unlock it."""
    clock = FakeClock()
    with monkeypatch.context() as other:
        other.setattr(folder_lock, "FORMAT_VERSION", writes)
        other.setattr(folder_lock, "OLDEST_VERSION", reads_from)
        unlock(lock_folders([folder], 0.0, clock, clock.sleep))


def test_a_newer_program_goes_on_with_a_folder_and_the_older_one_then_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    lock_as(tmp_path, monkeypatch, writes=12, reads_from=1)
    for _ in range(2):
        with pytest.raises(
            AgentError, match=r"newer headrace \(format 12, .* up to 1\): use that version, or let it ship"
        ):
            lock_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    lock_as(tmp_path, monkeypatch, writes=12, reads_from=12)


def test_a_folder_of_a_forgotten_version_is_refused_and_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LOCK_FILE).touch()
    for _ in range(2):
        with pytest.raises(
            AgentError, match=r"older headrace \(format 1, this one knows 2 to 3\): let that one ship all"
        ):
            lock_as(tmp_path, monkeypatch, writes=3, reads_from=2)
    lock_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    assert (tmp_path / LOCK_FILE).read_bytes() == b"1\n"


def test_a_lock_file_with_something_else_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LOCK_FILE).write_bytes(b"what is this")
    with pytest.raises(AgentError, match=r"\.headrace\.lock is damaged"):
        lock_as(tmp_path, monkeypatch, writes=1, reads_from=1)
    (tmp_path / LOCK_FILE).unlink()
    lock_as(tmp_path, monkeypatch, writes=1, reads_from=1)
