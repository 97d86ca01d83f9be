"""A ``headrace run`` as a process of its own, for tests that kill parts of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from headrace.sample import SampleSettings, sample_lines
from headrace.state_folder import StateFolder
from headrace.status import Snapshot, take_snapshot
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

READY_TIMEOUT_S = 180.0


class HeadraceRun:
    """One run over ``folder/state``; its counts go to ``folder/counts.jsonl``. A context manager that ends it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.state = StateFolder(folder / "state")
        self.counts_file = folder / "counts.jsonl"
        self._said = folder / "said.txt"
        command = [sys.executable, "-m", "headrace.cli.app", "run", "--state", str(self.state.root)]
        command += ["--window", "1h", "--out", str(self.counts_file), *options]
        with self._said.open("ab") as said:
            self.process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """Return what it has told so far."""
        return self._said.read_text()

    def snapshot(self) -> Snapshot:
        """Return the status of its stages."""
        return take_snapshot(self.state, datetime.now(UTC))

    def pid_of(self, stage: str) -> int:
        """Return the process id of a stage that is ready."""

        def ready_pid() -> int | None:
            record = self.state.read_run()
            is_ready = record is not None and record.stages[stage].state == "ready"
            return record.stages[stage].pid if record is not None and is_ready else None

        return wait_until(ready_pid, READY_TIMEOUT_S, f"the {stage} to be ready; said: {self.said()}") or 0

    def wait_ready(self) -> None:
        """Wait until every stage of this process is ready."""

        def ready() -> bool:
            record = self.state.read_run()
            ours = record is not None and record.pid == self.process.pid
            return ours and record is not None and all(s.state == "ready" for s in record.stages.values())

        wait_until(ready, READY_TIMEOUT_S, "all stages to be ready")

    def kill(self, stage: str) -> None:
        """End a stage with SIGKILL and wait until it has been started again."""
        pid = self.pid_of(stage)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pid_of(stage) != pid, READY_TIMEOUT_S, f"another {stage} to be ready")

    def wait_counted(self, lines: int) -> Snapshot:
        """Wait until the job has read so many lines, and all sums hold."""

        def done() -> Snapshot | None:
            snapshot = self.snapshot()
            return snapshot if snapshot.job.read == lines and not snapshot.problems() else None

        return wait_until(done, READY_TIMEOUT_S, f"{lines} lines to be read") or self.snapshot()

    def counted(self) -> Counter[str]:
        """Return hits by URL of the file of counts."""
        return hits_by_url(self.counts_file)


def hits_by_url(counts_file: Path) -> Counter[str]:
    """Return the hits of each URL, summed over all windows."""
    hits: Counter[str] = Counter()
    for line in counts_file.read_text().splitlines():
        row = json.loads(line)
        hits[row["url"]] += row["hits"]
    return hits


def make_sample(path: Path, settings: SampleSettings) -> Counter[str]:
    """Write a sample and return the hits that its lines stand for, taken from the lines themselves."""
    lines = list(sample_lines(settings))
    path.write_bytes(b"".join(lines))
    requests = (line.split(b'"')[1].split() for line in lines if line.count(b'"') == 6 and b"[32/" not in line)
    return Counter(request[1].decode().partition("?")[0] for request in requests)
