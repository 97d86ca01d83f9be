"""Made-up objects of JSON events whose counts are known, and the job ``actions`` as a process over them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from spark_job.errors import SinkError
from spark_job.sinks.database import DatabaseUrl, read_rows

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from typing import Self

ROOT = Path(__file__).parents[2]
ACTIONS = ("view", "buy", "Buy", "add to basket", "größe")


@dataclass
class ActionEvents:
    """Makes objects, each of another name, and counts what is in them as it does.

    Attributes:
        random: where everything comes from.
        counts: (action, hour) to the number of events.
        malformed: number of lines that are no events.
        objects: how many there are.
    """

    random: random.Random
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    malformed: int = 0
    objects: int = 0

    def make(self) -> tuple[str, bytes]:
        """Return name and content of a new object; every third is compressed, every second holds a malformed line."""
        lines = []
        for _ in range(self.random.randint(1, 40)):
            action, hour = self.random.choice(ACTIONS), self.random.randint(0, 5)
            second = self.random.randint(0, 3599)
            time = f"2026-07-01T{hour:02d}:{second // 60:02d}:{second % 60:02d}Z"
            lines.append(json.dumps({"action": action, "time": time, "user": self.random.randint(1, 9)}))
            self.counts[action, hour] += 1
        if self.objects % 2:
            lines.insert(self.random.randint(0, len(lines)), '{"action": "cut off')
            self.malformed += 1
        self.objects += 1
        name, body = f"events/{self.objects:04d}.json", "".join(f"{line}\n" for line in lines).encode()
        return (f"{name}.gz", gzip.compress(body)) if self.objects % 3 == 0 else (name, body)

    def are_stored(self, target: DatabaseUrl) -> bool:
        """Say whether both tables hold exactly these events."""
        return stored(target) == (self.counts, self.malformed)


def stored(target: DatabaseUrl) -> tuple[Counter[tuple[str, int]], int]:
    """Return what the tables of the job hold: counts by (action, hour), and the number of malformed lines."""
    try:
        counts = {(row["action"], row["window_start"].hour): row["count"] for row in read_rows(target, "actions")}
        malformed = sum(row["count"] for row in read_rows(target, "actions_malformed"))
    except SinkError:
        # The tables come with the first batch.
        return Counter(), 0
    return Counter(counts), int(malformed)


def put_into(folder: Path, name: str, body: bytes) -> None:
    """Put an object into a folder as an object store does: whole or not at all."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(body)
    hidden.rename(path)


class ActionsProcess:
    """``python -m spark_job actions``; a context manager that leaves no process behind."""

    def __init__(self, path: str, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.errors = folder.with_suffix(".err")
        command = [sys.executable, "-m", "spark_job", "actions", "--path", path, "--job-folder", str(folder)]
        command += ["--trigger", "200ms", "--driver-memory", "512m", "--master", "local[2]", *options]
        with self.errors.open("ab") as err:
            self.process = psutil.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=err, env={**os.environ, **(environment or {})}
            )

    def runs(self) -> bool:
        """Say whether the queries have been started; fails when the process has ended."""
        assert self.process.poll() is None, self.errors.read_text()
        try:
            progress: dict[str, Any] = json.loads((self.folder / "progress.json").read_bytes())
        except FileNotFoundError:
            return False
        return bool(progress["pid"] == self.process.pid and progress["state"] == "running")

    def kill(self) -> None:
        """End the driver with SIGKILL, and what it leaves behind: Java and the Python workers."""
        below = self.process.children(recursive=True)
        self.process.kill()
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([self.process, *below])

    def stop(self) -> int:
        """Stop it as a supervisor does; return the exit code."""
        self.process.terminate()
        return int(self.process.wait(120))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
