"""``headrace run --once``: every line of the files comes out, and the outcome is told by numbers and exit code."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headrace.local.run_once import OnceOutcome
from headrace.sample import SampleSettings
from tests.support.headrace_run import hits_by_url, make_sample
from tests.support.processes import processes_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def run_once(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace.cli.app", "run", "--once", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.timeout(900)
def test_once_counts_every_line_of_plain_compressed_and_empty_files(tmp_path: Path) -> None:
    expected = make_sample(tmp_path / "a.log", SampleSettings(lines=3000, malformed=4))
    packed = tmp_path / "b.log.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.log").read_bytes().removesuffix(b"\n")))
    (tmp_path / "empty.log").touch()
    ended = run_once(tmp_path, "a.log", "empty.log", "b.log.gz", "--window", "1h", "--out", "counts.jsonl")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "lines read 6,000 = counted 5,992 + malformed 8 + too old 0\n"
    assert "empty.log is empty: skipped" in ended.stderr
    assert hits_by_url(tmp_path / "counts.jsonl") == {url: 2 * hits for url, hits in expected.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "b.log.gz", "counts.jsonl", "empty.log"]


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.timeout(900)
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


OUTCOME = OnceOutcome(lines=10, stored=10, read=10, counted=7, malformed=2, late=1, hits=7)


@pytest.mark.parametrize(
    ("outcome", "holds"),
    [
        (OUTCOME, True),
        (replace(OUTCOME, stored=11), False),
        (replace(OUTCOME, read=9), False),
        (replace(OUTCOME, counted=6), False),
        (replace(OUTCOME, late=2), False),
        (replace(OUTCOME, late=None, too_old=1), True),
        (replace(OUTCOME, late=None, too_old=2), False),
        (replace(OUTCOME, late=None, counted=8), True),
        # A line that falls into two windows has two hits and is one line.
        (replace(OUTCOME, hits=14), True),
    ],
)
def test_an_outcome_holds_when_every_line_is_accounted_for_once(outcome: OnceOutcome, holds: bool) -> None:  # noqa: FBT001
    assert outcome.holds is holds


def test_an_outcome_shows_whether_its_sum_is_equal() -> None:
    assert str(OUTCOME) == "lines read 10 = counted 7 + malformed 2 + late 1"
    too_old = replace(OUTCOME, late=None, too_old=1)
    assert str(too_old) == "lines read 10 = counted 7 + malformed 2 + too old 1"
    assert str(replace(OUTCOME, counted=6)) == "lines read 10 \N{NOT EQUAL TO} counted 6 + malformed 2 + late 1"
