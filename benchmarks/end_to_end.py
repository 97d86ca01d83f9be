"""From the spool folder to the counts: rate against the agent alone, and latency of a single line.

Rate: the same agent, the same file. Once its sink ends in a Java AvroSource with a null sink, which is the fastest that
Flume itself can be on this machine; once in Headrace, until Spark has counted the last line. All processes share the
machine, so counting costs the agent some of its own time. One file warms up; the rate is that of the median of the
others, since a shared machine now and then takes a second away.

Latency: `headrace run` with its console; one line with a URL never seen before is dropped, and its time is taken from
the rename into the spool folder to the table that shows it. The pauses between are random, some of them long.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.frames import log_lines
from benchmarks.receivers import avro_source
from flume.agent.process import Agent
from flume.config.render import render_agent
from flume.config.values import default_values
from flume.jars.cache import ensure_jars
from headrace.drop import drop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.scale import Scale

WAIT_S = 600.0
SHORTEST_PAUSE_S = 0.5
TOP = 40
"""URLs of a window on the console: every line whose latency is taken must be among them."""


def run(scale: Scale, corpus: Path | None) -> None:
    """Measure and print."""
    events = scale.events
    print(
        f"end to end: files of {events:,} lines, memory channel, everything on this machine; median of {scale.rounds} "
        "after one to warm up (slowest to fastest)"
    )
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        log = folder / "access.log"
        with log.open("wb") as file:
            file.writelines(line + b"\n" for line in log_lines(corpus, events))
        alone = _agent_alone(folder / "alone", log, scale)
        print(f"    the agent into an AvroSource     {_rates(events, alone)}")
        with running_pipeline(folder / "headrace", "memory") as pipeline:
            ours = _rounds(lambda total: pipeline.drop_and_wait(log, total), scale)
            ratio = statistics.median(alone) / statistics.median(ours)
            print(f"    drop to the last line counted    {_rates(events, ours)}   x {ratio:.2f}")
            _latency(pipeline, scale)


def _rounds(send: Callable[[int], None], scale: Scale) -> list[float]:
    """Return the seconds of each round but the first; ``send`` sends a file and waits for so many lines in all."""
    ended_s = []
    for number in range(1, scale.rounds + 2):
        send(number * scale.events)
        ended_s.append(time.perf_counter())
    return [end - begin for begin, end in pairwise(ended_s)]


def _rates(events: int, seconds: list[float]) -> str:
    spread = f"({events / max(seconds):,.0f} to {events / min(seconds):,.0f})"
    return f"{events / statistics.median(seconds):12,.0f} lines/s   {spread:20}"


def _agent_alone(folder: Path, log: Path, scale: Scale) -> list[float]:
    """Return the seconds from a drop of ``log`` to the OK for its last line."""
    spool = folder / "spool"
    spool.mkdir(parents=True)
    with avro_source(folder / "receiver", "memory") as receiver:
        place = {"host": "127.0.0.1", "port": receiver.port}
        values = default_values().changed({"spool.folder": str(spool), "sinks.bridges": [place]})
        with Agent(render_agent(values, folder / "agent"), ensure_jars()) as agent:
            agent.start()
            agent.wait_ready()

            def sent() -> int:
                metrics = agent.poll()
                return metrics.events_sent if metrics is not None else 0

            def drop_and_wait(total: int) -> None:
                drop([log], spool)
                _wait(lambda: sent() >= total)

            return _rounds(drop_and_wait, scale)


class Pipeline:
    """A `headrace run` in a temporary folder."""

    def __init__(self, state: Path, process: subprocess.Popen[bytes]) -> None:
        self.state = state
        self._process = process
        self._shown = b""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def drop_and_wait(self, log: Path, events: int) -> None:
        """Hand a file over and wait until so many lines have been counted in all."""
        self.drop(log)
        _wait(lambda: self.counted() >= events or self._has_ended())
        if self._has_ended():
            raise RuntimeError(f"the run has ended with exit code {self._process.returncode}; see {self.state}.log")

    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def drop(self, log: Path) -> None:
        """Hand a file over."""
        drop([log], self.state / "spool")

    def counted(self) -> int:
        """Lines that the job has stored the counts of, so far."""
        try:
            progress: dict[str, Any] = json.loads((self.state / "job" / "progress.json").read_text())
        except (OSError, ValueError):
            return 0
        return int((progress.get("tally") or {}).get("read", 0))

    def wait_for(self, text: bytes) -> None:
        """Wait until the console shows ``text``."""
        deadline_s = time.monotonic() + WAIT_S
        with self._changed:
            while text not in self._shown:
                if not self._changed.wait(deadline_s - time.monotonic()):
                    raise TimeoutError(f"the console never showed {text!r}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65_536):
            with self._changed:
                self._shown = (self._shown + chunk)[-1_000_000:]
                self._changed.notify_all()


@contextmanager
def running_pipeline(state: Path, channel: str, *options: str) -> Iterator[Pipeline]:
    """Run a pipeline for the length of a block, with a channel of that type and further options of `headrace run`."""
    command = [str(Path(sys.executable).with_name("headrace")), "run", "--state", str(state), "--channel", channel]
    command += ["--window", "1h", "--top", str(TOP), *options]
    with state.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        try:
            yield Pipeline(state, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)
            assert process.stdout is not None
            process.stdout.close()


def _latency(pipeline: Pipeline, scale: Scale) -> None:
    chance = random.Random(scale.samples)  # noqa: S311 - the same pauses each time
    taken_s = []
    for number in range(scale.samples):
        time.sleep(chance.uniform(SHORTEST_PAUSE_S, scale.longest_pause_s))
        path = f"/latency-{number:02d}-{chance.getrandbits(32):08x}"
        stamp = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        line = pipeline.state.parent / "line.log"
        line.write_text(f'192.0.2.1 - - [{stamp}] "GET {path} HTTP/1.1" 200 1 "-" "-"\n')
        began_s = time.perf_counter()
        pipeline.drop(line)
        pipeline.wait_for(path.encode())
        taken_s.append(time.perf_counter() - began_s)
    median_s, slowest_s = statistics.median(taken_s), max(taken_s)
    print(f"    one line, drop to console        median {median_s:.2f} s, slowest of {scale.samples} {slowest_s:.2f} s")


def _wait(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the end was never seen")
        time.sleep(0.02)
