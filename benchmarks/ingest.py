"""What taking a million events costs: the bridge, each OK synced to disk, against Flume's own AvroSource.

All get the same frames from the same sender. Measured are CPU seconds (user and system) of the receiver's process and
wall time, from the first frame to the last OK, in two rounds: the first million after the start, as an agent meets a
receiver that was just started, and a second million, when Java's compiler has done its work.

The last comparison is the whole way through a receiver, in and out: the bridge takes the lines as blocks, and a reader
takes all of them from it again; the AvroSource takes them as events, and its sink throws them away.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.flight as flight

from avro_bridge.contract import LogStatus, Ticket
from avro_bridge.wire.blocks import FILE_ID_BYTES
from benchmarks.frames import write_block_frames, write_frames
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
        _compare_blocks(folder, corpus, events, scale.loads[-1][0])


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
        _print(receiver.name, figures, ours)


def _compare_blocks(folder: Path, corpus: Path | None, events: int, batch: int) -> None:
    print(f"\n  in and out: blocks of 1 MiB that are read again, against events in batches of {batch}")
    with bridge(folder / "blocks") as receiver:
        ours = [_measure_blocks(receiver, folder, corpus, events, number) for number in range(len(ROUNDS))]
    _print("bridge, synced, blocks", ours, [cpu for cpu, _ in ours])
    with avro_source(folder / "blocks-memory", "memory") as receiver:
        figures = [_measure(receiver, folder / f"frames-{batch}", events, 1) for _ in ROUNDS]
    _print(receiver.name, figures, [cpu for cpu, _ in ours])


def _measure_blocks(
    receiver: Receiver, folder: Path, corpus: Path | None, events: int, number: int
) -> tuple[float, float]:
    """Return CPU and wall seconds for a million lines that come as blocks of one file and are read again."""
    frames = folder / f"blocks-{number}"
    write_block_frames(frames, corpus, events, bytes([number]) * FILE_ID_BYTES)
    before = cpu_seconds(receiver.pid)
    _, wall = _measure(receiver, frames, events, 1)
    began_s = time.perf_counter()
    with flight.connect(f"grpc://127.0.0.1:{receiver.flight_port}") as client:
        (answer,) = client.do_action(flight.Action("status", b""))
        status = LogStatus.from_bytes(answer.body.to_pybytes())
        # The newest ones: before them is an event with which the sender shakes hands.
        ticket = Ticket(status.log_id, status.next_offset - events, status.next_offset, blocks=True)
        lines = sum(pc.sum(piece.data["count"]).as_py() for piece in client.do_get(flight.Ticket(ticket.to_bytes())))
    out_s = time.perf_counter() - began_s
    if lines != events:
        raise RuntimeError(f"{lines} of {events} lines were read")
    scale = 1e6 / events
    return (cpu_seconds(receiver.pid) - before) * scale, wall + out_s * scale


def _print(name: str, figures: list[tuple[float, float]], ours: list[float]) -> None:
    for round_name, (cpu, wall), own in zip(ROUNDS, figures, ours, strict=True):
        # The kernel counts in hundredths of a second, so very few events may cost none.
        ratio = f"{cpu / own:5.1f}" if own else "    -"
        print(f"    {name:28} {round_name:6}  CPU {cpu:6.2f}  wall {wall:6.2f}  CPU / bridge's {ratio}")


def _measure(receiver: Receiver, frames: Path, events: int, connections: int) -> tuple[float, float]:
    """Return CPU and wall seconds for a million events."""
    before = cpu_seconds(receiver.pid)
    command = [sys.executable, "-m", "benchmarks.sender", str(receiver.port), str(frames), str(connections)]
    sent = subprocess.run(command, check=True, capture_output=True)
    scale = 1e6 / events
    return (cpu_seconds(receiver.pid) - before) * scale, json.loads(sent.stdout)["seconds"] * scale
