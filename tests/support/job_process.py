"""A job of ``python -m spark_job`` as a process, for tests that kill it, stop it and read what it says."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from tests.support.source_tree import ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import signal
    from pathlib import Path
    from typing import Self

START_TIMEOUT_S, STOP_TIMEOUT_S = 300, 120


class JobProcess:
    """``python -m spark_job NAME`` on a bridge; a context manager that leaves no process behind."""

    def __init__(self, name: str, bridges: str, folder: Path, *options: str) -> None:
        self.folder = folder
        number = len(list(folder.parent.glob("*.err")))
        self.out, self.err = folder.with_suffix(f".{number}.out"), folder.with_suffix(f".{number}.err")
        command = [sys.executable, "-m", "spark_job", name, "--bridges", bridges, "--job-folder", str(folder)]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = psutil.Popen(
                [*command, "--driver-memory", "512m", *options], cwd=ROOT, stdout=out, stderr=err
            )

    def progress(self) -> dict[str, Any]:
        """Return what this process wrote into ``progress.json``; empty before it has written anything.

        What an earlier process left may be damaged.
        """
        try:
            found = json.loads((self.folder / "progress.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return dict(found) if found["pid"] == self.process.pid else {}

    def wait_for_read(self, lines: int) -> None:
        """Wait until the job has read so many lines, over all its runs."""

        def is_read() -> bool:
            assert self.process.poll() is None, self.err.read_text()
            return bool(self.progress().get("tally", {}).get("read", 0) >= lines)

        wait_until(is_read, START_TIMEOUT_S, f"{lines} lines to be counted")

    def signal_tree(self, number: signal.Signals) -> None:
        """Send a signal to the job and everything below it; Python workers come and go, and may just have gone."""
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def victims(self) -> list[psutil.Process]:
        """Return the job's process, Java, and Spark's Python workers."""
        return [self.process, *self.process.children(recursive=True)]

    def kill(self) -> None:
        """Kill the job and everything below it at once, and wait until all are gone."""
        victims = self.victims()
        for process in victims:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(victims[1:], STOP_TIMEOUT_S)
        self.process.wait(STOP_TIMEOUT_S)

    def end(self, timeout_s: float = START_TIMEOUT_S) -> int:
        """Wait for the end of the process; return its exit code."""
        return int(self.process.wait(timeout_s))

    def errors(self) -> list[str]:
        """Return what it said, but for the note that the API is deprecated, which it says once."""
        lines = self.err.read_text().splitlines()
        notes = [line for line in lines if line.startswith("note: DStreams are deprecated")]
        assert len(notes) <= 1
        return [line for line in lines if line not in notes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_running():
            children = self.process.children(recursive=True)
            for process in [self.process, *children]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(children, STOP_TIMEOUT_S)
            self.process.wait(STOP_TIMEOUT_S)
