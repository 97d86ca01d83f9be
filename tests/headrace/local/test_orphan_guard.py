"""The orphan guard, with real processes: nothing outlives a run that is killed, and nothing else is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from headrace.local.child_process import ChildProcess
from headrace.local.orphan_guard import RUN_VARIABLE, Guard, end_processes
from tests.support.processes import IGNORE_SIGTERM, WITH_CHILD
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

RUN = """
import os, subprocess, sys, time
from headrace.local.orphan_guard import RUN_VARIABLE, Guard
environment = {**os.environ, RUN_VARIABLE: sys.argv[1]}
guard = Guard(sys.argv[1], environment)
stage = subprocess.Popen([sys.executable, "-c", sys.argv[2]], env=environment, start_new_session=True)
print(guard.pid, stage.pid, flush=True)
time.sleep(600)
"""


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
