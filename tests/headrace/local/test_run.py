"""The whole pipeline with real processes: every line comes out once, whatever is killed, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.drop import drop
from headrace.sample import SampleSettings
from tests.support.headrace_run import HeadraceRun, make_sample
from tests.support.processes import processes_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# Spark starts up to three times in a test, each time in up to a minute on a busy machine of two cores.
pytestmark = [pytest.mark.java, pytest.mark.spark, pytest.mark.timeout(900)]


@pytest.mark.slow
def test_a_run_counts_exactly_through_kills_a_stop_and_a_new_start(tmp_path: Path) -> None:
    parts = [tmp_path / f"part{n}.log" for n in range(4)]
    # Each part is a day older than the one before: the order does not matter.
    days = [SampleSettings(lines=2000, seed=n).start.replace(day=9 - n) for n in range(4)]
    expected = [make_sample(path, SampleSettings(2000, n, days[n])) for n, path in enumerate(parts)]
    with HeadraceRun(tmp_path, "--channel", "file") as run:
        run.wait_ready()
        for number, stage in enumerate(("bridge", "agent", "job")):
            drop([parts[number]], run.state.spool)
            run.wait_counted(2000 * (number + 1))
            run.kill(stage)
        assert "was killed by signal 9" in run.said()
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(180) == 0, run.said()
        assert "stopped; the next start goes on from here" in run.said()
    assert processes_of(run.state.root) == []
    at_rest = run.snapshot()
    assert at_rest.problems() == []
    assert at_rest.end is not None
    assert at_rest.end.text(at_rest.agent.spool_files).endswith("Z, everything counted")
    with HeadraceRun(tmp_path, "--channel", "file") as run:
        run.wait_ready()
        drop([parts[3]], run.state.spool)
        run.wait_counted(8000)
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(180) == 0, run.said()
    assert run.counted() == sum(expected[1:], expected[0])


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_process_and_the_next_goes_on(tmp_path: Path) -> None:
    expected = make_sample(tmp_path / "a.log", SampleSettings(lines=2000))
    with HeadraceRun(tmp_path, "--channel", "file") as run:
        run.wait_ready()
        assert len(processes_of(run.state.root)) >= 4
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        wait_until(lambda: not processes_of(run.state.root), 60, "the guard to end every process")
        assert "was killed; the next start goes on where it was" in run.snapshot().problems()[0]
    with HeadraceRun(tmp_path, "--channel", "file") as run:
        run.wait_ready()
        drop([tmp_path / "a.log"], run.state.spool)
        run.wait_counted(2000)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(180) == 0, run.said()
    assert run.counted() == expected


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with HeadraceRun(tmp_path) as first:
        first.wait_ready()
        command = [sys.executable, "-m", "headrace.cli.app", "run", "--state", str(first.state.root)]
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"in use by process {first.process.pid}" in second.stderr
        stopped = subprocess.run(
            [sys.executable, "-m", "headrace.cli.app", "stop", "--state", str(first.state.root)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert stopped.returncode == 0, stopped.stderr
        assert first.process.wait(10) == 0
