"""What taking a million events costs: the bridge, each OK synced to disk, against Flume's own AvroSource.

All get the same frames from the same sender. Measured are CPU seconds (user and system) of the receiver's process and
wall time, from the first frame to the last OK, in two rounds: the first million after the start, as an agent meets a
receiver that was just started, and a second million, when Java's compiler has done its work.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.frames import write_frames
from benchmarks.machine import cpu_seconds
from benchmarks.receivers import avro_source, bridge

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benchmarks.receivers import Receiver
    from benchmarks.scale import Scale

ROUNDS = ("first", "second")


def run(scale: Scale, corpus: Path | None) -> None:
    """Measure and print."""
    events = scale.events
    print(f"ingest: {events:,} events a round, three headers each; CPU s and wall s for a million events")
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        for batch, connections in scale.loads:
            frames = folder / f"frames-{batch}"
            if not frames.exists():
                write_frames(frames, corpus, events, batch)
            _compare(folder / f"{batch}-{connections}", frames, events, batch, connections)


def _compare(folder: Path, frames: Path, events: int, batch: int, connections: int) -> None:
    contenders: list[AbstractContextManager[Receiver]] = [
        bridge(folder / "bridge"),
        avro_source(folder / "memory", "memory"),
        avro_source(folder / "file", "file"),
    ]
    print(f"\n  batches of {batch}, connections: {connections}")
    ours: list[float] = []
    for contender in contenders:
        with contender as receiver:
            figures = [_measure(receiver, frames, events, connections) for _ in ROUNDS]
        ours = ours or [cpu for cpu, _ in figures]
        for name, (cpu, wall), own in zip(ROUNDS, figures, ours, strict=True):
            # The kernel counts in hundredths of a second, so very few events may cost none.
            ratio = f"{cpu / own:5.1f}" if own else "    -"
            print(f"    {receiver.name:28} {name:6}  CPU {cpu:6.2f}  wall {wall:6.2f}  CPU / bridge's {ratio}")


def _measure(receiver: Receiver, frames: Path, events: int, connections: int) -> tuple[float, float]:
    """Return CPU and wall seconds for a million events."""
    before = cpu_seconds(receiver.pid)
    command = [sys.executable, "-m", "benchmarks.sender", str(receiver.port), str(frames), str(connections)]
    sent = subprocess.run(command, check=True, capture_output=True)
    scale = 1e6 / events
    return (cpu_seconds(receiver.pid) - before) * scale, json.loads(sent.stdout)["seconds"] * scale
