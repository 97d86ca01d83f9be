"""Log to windows: Headrace's source, the same query in Spark SQL alone, and GoAccess.

Both are streaming queries over the same lines, in micro-batches of the same size, with the same windows, one after the
other, each in its own Spark. Headrace adds each micro-batch up in its results table. Spark SQL has no such table: it
keeps the windows itself, with a watermark. The first micro-batches warm Java's compiler up and are not counted; the
rate is that of the median of the others, since a shared machine now and then takes a second away. Headrace reads from a
bridge's log over Arrow Flight, Spark SQL from text files. GoAccess, which is not a stream processor, reads one
micro-batch's lines and sorts by URL; it stands here because people know it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow.flight as flight

from avro_bridge.contract import LogStatus
from benchmarks.frames import log_lines, write_frames
from benchmarks.query_process import BATCHES, HEADRACE, SPARK_SQL, WARM_UP_BATCHES
from benchmarks.receivers import bridge

if TYPE_CHECKING:
    from benchmarks.scale import Scale

TITLES = {HEADRACE: "Headrace's source", SPARK_SQL: "Spark SQL alone"}


def run(scale: Scale, corpus: Path | None) -> None:
    """Measure and print."""
    events = scale.events
    print(
        f"query: {BATCHES} micro-batches of {events:,} lines, windows of 1 h; median rate after {WARM_UP_BATCHES} to "
        "warm up (slowest to fastest)"
    )
    events *= BATCHES
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        write_frames(folder / "frames", corpus, events, 5000)
        _write_lines(folder / "lines", corpus, events)
        with bridge(folder / "bridge") as receiver:
            command = [sys.executable, "-m", "benchmarks.sender", str(receiver.port), str(folder / "frames"), "1"]
            subprocess.run(command, check=True, capture_output=True)
            _keep_all(receiver.flight_port)
            _compare(folder, f"127.0.0.1:{receiver.flight_port}", events)
        _goaccess(folder / "lines" / "part-0.log", events // BATCHES, folder / "goaccess.json")


def _compare(folder: Path, address: str, events: int) -> None:
    rates = {}
    for name, source in ((HEADRACE, address), (SPARK_SQL, str(folder / "lines"))):
        command = [sys.executable, "-m", "benchmarks.query_process", name, source, str(folder / name), str(events)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        figures = json.loads(done.stdout)
        rates[name] = figures["rate"]
        spread = f"({figures['slowest']:,.0f} to {figures['fastest']:,.0f})"
        print(f"    {TITLES[name]:28} {rates[name]:12,.0f} lines/s   {spread:24} counted {figures['counted']:,}")
    print(f"    {TITLES[HEADRACE]} / {TITLES[SPARK_SQL]}     x {rates[HEADRACE] / rates[SPARK_SQL]:4.1f}")


def _keep_all(flight_port: int) -> None:
    """Make a consumer that never commits, so that the bridge keeps everything for the next round."""
    with flight.connect(f"grpc://127.0.0.1:{flight_port}") as client:
        status = LogStatus.from_bytes(next(client.do_action(flight.Action("status", b""))).body.to_pybytes())
        body = {"consumer": "keeper", "log_id": status.log_id, "position": "earliest"}
        list(client.do_action(flight.Action("start", json.dumps(body).encode())))


def _write_lines(folder: Path, corpus: Path | None, events: int) -> None:
    """Write the lines as one text file for each micro-batch, the handshake's own event aside."""
    folder.mkdir()
    lines = log_lines(corpus, events)
    for number in range(BATCHES):
        with (folder / f"part-{number}.log").open("wb") as file:
            for _ in range(events // BATCHES):
                file.write(next(lines) + b"\n")


def _goaccess(lines: Path, events: int, report: Path) -> None:
    program = shutil.which("goaccess")
    if program is None:
        print("    GoAccess is not installed: apt-get install goaccess")
        return
    began_s = time.perf_counter()
    before = psutil.Process().cpu_times()
    subprocess.run(
        [program, str(lines), "--log-format=COMBINED", "--no-global-config", "-o", str(report)],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    after = psutil.Process().cpu_times()
    seconds = time.perf_counter() - began_s
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"    {'GoAccess, one pass':28} {events / seconds:12,.0f} lines/s   CPU {cpu * 1e6 / events:.2f} s a million")
