"""Children with real processes: their logs are bounded, their end is sure, and none outlives a run that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from headrace.local.child_process import ChildProcess
from headrace.local.orphan_guard import RUN_VARIABLE, Guard, end_processes
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORE_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", file=sys.stderr, flush=True)
time.sleep(600)
"""
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, file=sys.stderr, flush=True)
time.sleep(600)
"""
RUN = """
import os, subprocess, sys, time
from headrace.local.orphan_guard import RUN_VARIABLE, Guard
environment = {**os.environ, RUN_VARIABLE: sys.argv[1]}
guard = Guard(sys.argv[1], environment)
stage = subprocess.Popen([sys.executable, "-c", sys.argv[2]], env=environment, start_new_session=True)
print(guard.pid, stage.pid, flush=True)
time.sleep(600)
"""


def python(code: str, tmp_path: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], tmp_path / "logs" / "stage.log", os.environ)


@pytest.fixture
def children() -> Iterator[list[ChildProcess]]:
    started: list[ChildProcess] = []
    yield started
    for child in started:
        child.end(0)


def test_a_child_that_stands_back_does_so_alone_and_as_a_session(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", os.environ)
    try:
        child.lower_priority(7)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 7
        group = Path(f"/proc/{child.pid}/autogroup")
        if group.exists():
            assert group.read_text(encoding="ascii").rstrip().endswith("nice 7")
    finally:
        child.end(5.0)
    child.lower_priority(8)


def test_what_a_child_says_is_kept_and_its_exit_code_known(tmp_path: Path) -> None:
    child = python("import sys; print('first\\nthe cause', file=sys.stderr); sys.exit(3)", tmp_path)
    assert child.wait(30)
    assert child.exit_code() == 3
    assert child.last_lines() == ["first", "the cause"]
    assert child.end(1) == 3
    assert (tmp_path / "logs" / "stage.log").read_text() == "first\nthe cause\n"


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, children: list[ChildProcess]) -> None:
    child = python(IGNORE_SIGTERM, tmp_path)
    children.append(child)
    wait_until(child.last_lines, 30, "the child to be up")
    assert child.end(0.1) == -signal.SIGKILL


def test_the_children_of_a_child_go_with_it(tmp_path: Path, children: list[ChildProcess]) -> None:
    child = python(WITH_CHILD, tmp_path)
    children.append(child)
    grandchild = psutil.Process(int(wait_until(child.last_lines, 30, "the grandchild")[0]))
    assert child.end(5) == -signal.SIGTERM
    grandchild.wait(30)


# What ignores SIGTERM is given its grace first.
@pytest.mark.parametrize("stage", [pytest.param(IGNORE_SIGTERM, marks=pytest.mark.slow), WITH_CHILD])
def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path, stage: str) -> None:
    run_id = f"test-{tmp_path.name}-{os.getpid()}"
    command = [sys.executable, "-c", RUN, run_id, stage]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        guard_pid, stage_pid = (int(word) for word in run.stdout.readline().split())
        watched = [psutil.Process(guard_pid), psutil.Process(stage_pid)]
        run.kill()
    _, alive = psutil.wait_procs(watched, timeout=30)
    assert alive == []
    assert end_processes(lambda environment: environment.get(RUN_VARIABLE) == run_id) == []


def test_a_guard_that_is_dismissed_ends_nothing(tmp_path: Path) -> None:
    run_id = f"test-{tmp_path.name}-{os.getpid()}"
    environment = {**os.environ, RUN_VARIABLE: run_id}
    guard = Guard(run_id, environment)
    bystander = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", environment)
    guard.dismiss()
    assert bystander.exit_code() is None
    bystander.end(5)


def test_left_overs_are_ended_even_when_they_ignore_sigterm(tmp_path: Path) -> None:
    run_id = f"test-{tmp_path.name}-{os.getpid()}"
    child = ChildProcess([sys.executable, "-c", IGNORE_SIGTERM], tmp_path / "log", {**os.environ, RUN_VARIABLE: run_id})
    wait_until(child.last_lines, 30, "the child to be up")
    ended = end_processes(lambda environment: environment.get(RUN_VARIABLE) == run_id, grace_s=0.1)
    assert ended == [child.pid]
    assert not psutil.pid_exists(child.pid)
    child.end(0)
