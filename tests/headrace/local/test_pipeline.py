"""The whole pipeline with real processes: every line comes out once, whatever is killed, and nothing is left behind."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from headrace.drop import drop
from headrace.local.orphan_guard import STATE_VARIABLE
from headrace.sample import SampleSettings
from tests.support.headrace_run import HeadraceRun, hits_by_url, make_sample
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# Spark starts up to three times in a test, each time in up to a minute on a busy machine of two cores.
pytestmark = [pytest.mark.java, pytest.mark.spark, pytest.mark.timeout(900)]


def processes_of(state: Path) -> list[int]:
    """Return the processes that belong to a run over ``state``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STATE_VARIABLE) == str(state) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def run_once(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace.cli.app", "run", "--once", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_once_counts_every_line_of_plain_compressed_and_empty_files(tmp_path: Path) -> None:
    expected = make_sample(tmp_path / "a.log", SampleSettings(lines=3000, malformed=4))
    packed = tmp_path / "b.log.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.log").read_bytes().removesuffix(b"\n")))
    (tmp_path / "empty.log").touch()
    ended = run_once(tmp_path, "a.log", "empty.log", "b.log.gz", "--window", "1h", "--out", "counts.jsonl")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "lines read 6,000 = counted 5,992 + malformed 8 + late 0\n"
    assert "empty.log is empty: skipped" in ended.stderr
    assert hits_by_url(tmp_path / "counts.jsonl") == {url: 2 * hits for url, hits in expected.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "b.log.gz", "counts.jsonl", "empty.log"]


@pytest.mark.slow
def test_once_says_when_it_was_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    make_sample(tmp_path / "a.log", SampleSettings(lines=1000))
    command = [sys.executable, "-m", "headrace.cli.app", "run", "--once", "a.log", "--state", "kept"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as once:
        wait_until(lambda: (tmp_path / "kept" / "bridge" / "ready.json").exists(), 120, "the bridge to be ready")
        once.send_signal(signal.SIGINT)
        _, said = once.communicate(timeout=120)
    assert once.returncode == 130
    assert "interrupted before every line was counted" in said
    assert processes_of(tmp_path / "kept") == []


@pytest.mark.slow
def test_a_run_counts_exactly_through_kills_a_stop_and_a_new_start(tmp_path: Path) -> None:
    parts = [tmp_path / f"part{n}.log" for n in range(4)]
    # Each part is later than the one before, so that none is late.
    days = [SampleSettings(lines=2000, seed=n).start.replace(day=5 + n) for n in range(4)]
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
