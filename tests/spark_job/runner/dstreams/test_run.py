"""A DStream job as a process: killed and recovered, stopped, drained; what it says when it cannot; old checkpoints."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.common.text import EPOCH
from spark_job.errors import JobFolderError
from spark_job.jobs import running_totals, status_per_batch, url_counts_dstream
from spark_job.runner.dstreams.run import prepare_checkpoint
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.deliveries import OPTIONS, DeliveryWorld
from tests.support.flight_double import FlightDouble, MemoryLog
from tests.support.job_process import STOP_TIMEOUT_S, JobProcess
from tests.support.source_tree import ROOT
from tests.support.streams import results_by_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spark_job.runner.dstreams.job import DStreamJob

BATCH, WINDOW = 2, 6


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RealBridge]:
    with RealBridge(tmp_path / "log") as opened:
        yield opened


def planned_in(folder: Path, log_id: str) -> dict[int, Counter[str]]:
    """Return what each batch holds that is stored and still known, counted from the lines themselves."""
    planned: dict[int, Counter[str]] = {}
    with closing(sqlite3.connect(folder / "counts.db")) as results:
        stored_ms = results.execute("SELECT max(batch_id) FROM batches").fetchone()
    with closing(sqlite3.connect(folder / "batches.db")) as database:
        for time_ms, starts, ends in database.execute(
            "SELECT time_ms, starts, ends FROM batches WHERE time_ms <= ?", stored_ms
        ):
            offsets = range(json.loads(starts)[log_id], json.loads(ends)[log_id])
            planned[time_ms // 1000] = Counter(f"/{offset % 7}" for offset in offsets if offset % 11)
    return planned


def expected_in(planned: dict[int, Counter[str]]) -> dict[int, Counter[str]]:
    """Return the count of each window of which every batch is known."""
    windows = {time: range(time - WINDOW + BATCH, time + 1, BATCH) for time in planned}
    return {
        time: sum((planned[each] for each in window), Counter())
        for time, window in windows.items()
        if planned.keys() >= set(window)
    }


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_stopped_and_drained_every_result_is_that_of_its_batches(bridge: RealBridge, tmp_path: Path) -> None:
    folder, out, drain = tmp_path / "job", tmp_path / "counts.jsonl", tmp_path / "drain.json"
    options = ["--batch-interval", f"{BATCH}s", "--window", f"{WINDOW}s", "--keep", "1h"]
    options += ["--sink", "console", "--sink", f"jsonl:{out}"]

    def extend(start: int, end: int) -> None:
        bridge.extend([line(n, f"/{n % 7}") if n % 11 else b"no line \x1b[2J" for n in range(start, end)])

    extend(0, 500)
    planned: dict[int, Counter[str]] = {}
    for number, end in ((signal.SIGKILL, 500), (signal.SIGTERM, 900)):
        with JobProcess("url-counts-dstream", bridge.address, folder, *options, "--max-events", "150") as job:
            extend(end, end + 400)
            job.wait_for_read(end)
            job.signal_tree(number)
            assert job.end(STOP_TIMEOUT_S) == (-number if number == signal.SIGKILL else 0)
        # A job that goes on forgets what it no longer needs.
        planned |= planned_in(folder, bridge.log_id)
    drain.write_text(json.dumps({bridge.log_id: 1300}))
    with JobProcess("url-counts-dstream", bridge.address, folder, *options, "--drain-to-file", str(drain)) as job:
        assert job.end() == 0, job.errors()
        assert job.errors()[-1] == "lines read 1,300 = counted 1,181 + malformed 119"
        assert "hits  url" in job.out.read_text()
        assert json.loads((folder / "tally.json").read_bytes())["balanced"] is True
        assert job.progress()["state"] == "stopped"
    found = results_by_time(url_counts_dstream.JOB, folder / "counts.db")
    expected = expected_in(planned | planned_in(folder, bridge.log_id))
    assert {time: found.get(time, {}) for time in expected} == expected
    assert len(found.keys() & expected.keys()) > 5
    newest = [json.loads(text) for text in out.read_text().splitlines()]
    assert {row["url"]: row["hits"] for row in newest} in (*found.values(), {})
    assert sum(len(path.read_bytes().splitlines()) for path in (folder / "dead-letters").rglob("*.jsonl")) == 119

    with JobProcess("url-counts-dstream", bridge.address, folder, "--window", "8s") as job:
        assert job.end() == 2
        assert "window was '6s' and is '8s'" in job.errors()[0]


@pytest.mark.parametrize(
    ("job", "after_s", "kept"),
    [
        (url_counts_dstream.JOB, 59, True),
        (url_counts_dstream.JOB, 62, False),
        (status_per_batch.JOB, 62, False),
        (running_totals.JOB.dstream, 10**6, True),
    ],
)
def test_an_outdated_checkpoint_goes_with_all_that_it_alone_refers_to(
    tmp_path: Path, job: DStreamJob, after_s: int, *, kept: bool
) -> None:
    log = MemoryLog(log_id="log-a", bodies=[b"x"] * 4)
    with FlightDouble(log) as bridge, ExitStack() as opened:
        world = DeliveryWorld(tmp_path, bridge, opened, job)
        row = {"window": ("/", 4), "state": ("/", 4, 40), "batch": ("bot", 200, 4)}[job.kind]
        world.run(1_000, row)
        log.extend([b"x"])
        # Killed after its tasks ran and before its result was stored.
        world.read(2_000)
        now = EPOCH + timedelta(seconds=2 + after_s)
        prepare_checkpoint(job, OPTIONS.intervals, world.plans, world.results, world.folder, now)
        assert world.folder.checkpoint.folder.exists() == kept
        assert (world.plans.newest_ms() == 2_000) == kept
        assert [path.name for path in world.folder.audit.rglob("*.json")] == ["4-5.json"] * kept
        assert world.plans.positions() == {"log-a": 5 if kept else 4}


def test_results_of_a_state_that_is_lost_are_not_replaced_by_smaller_values(tmp_path: Path) -> None:
    with FlightDouble(MemoryLog(log_id="log-a", bodies=[b"x"])) as bridge, ExitStack() as opened:
        world = DeliveryWorld(tmp_path, bridge, opened, running_totals.JOB.dstream)
        world.run(1_000, ("/", 4, 40))
        world.folder.checkpoint.delete()
        with pytest.raises(JobFolderError, match="checkpoint is missing, and with it the state"):
            prepare_checkpoint(world.job, OPTIONS.intervals, world.plans, world.results, world.folder, EPOCH)


def test_wrong_intervals_are_refused_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spark_job", "intervals", "--job-folder", str(tmp_path), "--bridges", "a:1"]
    ended = subprocess.run(
        [*command, "--batch-interval", "2s", "--window", "5s"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=STOP_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "--window 5s is not a whole number of batches of 2s" in ended.stderr
