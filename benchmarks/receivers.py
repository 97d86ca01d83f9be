"""The receivers that are measured side by side: the bridge, and Flume's own AvroSource with either channel."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flume.jars.cache import ensure_jars
from flume.jars.java import find_java
from tests.support.ports import free_port, is_listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
HEAP = "-Xmx1g"

_AVRO_SOURCE = """
r.sources = s
r.channels = c
r.sinks = k
r.sources.s.type = avro
r.sources.s.bind = 127.0.0.1
r.sources.s.port = {port}
r.sources.s.channels = c
{channel}
r.channels.c.capacity = 1000000
r.channels.c.transactionCapacity = 10000
r.sinks.k.type = null
r.sinks.k.batchSize = 5000
r.sinks.k.channel = c
"""
_CHANNELS = {
    "memory": "r.channels.c.type = memory\nr.channels.c.byteCapacity = 600000000",
    "file": "r.channels.c.type = file\nr.channels.c.checkpointDir = {folder}/checkpoint\n"
    "r.channels.c.dataDirs = {folder}/data",
}
_QUIET = """<Configuration><Appenders><Console name="c" target="SYSTEM_ERR"/></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="c"/></Root></Loggers></Configuration>"""


@dataclass(frozen=True)
class Receiver:
    """A process that listens."""

    name: str
    pid: int
    port: int
    flight_port: int = 0
    """Where readers connect; the bridge's alone."""


@contextmanager
def bridge(folder: Path) -> Iterator[Receiver]:
    """The bridge with its defaults: every OK is on disk before it is sent."""
    folder.mkdir(parents=True)
    ready = folder / "ready.json"
    sections = ["[listen]", "port = 0", "[flight]", "port = 0", "[admin]", "port = 0"]
    sections += ["[log]", f"folder = {json.dumps(str(folder / 'data'))}"]
    (folder / "bridge.toml").write_text("\n".join(sections))
    command = [sys.executable, "-m", "avro_bridge", "serve", "--config", str(folder / "bridge.toml")]
    with _process([*command, "--ready-file", str(ready)], folder) as process:
        _wait(ready.exists, process)
        facts = json.loads(ready.read_text())
        yield Receiver("bridge, synced to disk", process.pid, facts["avro_port"], facts["flight_port"])


@contextmanager
def avro_source(folder: Path, channel: str) -> Iterator[Receiver]:
    """Flume's own receiver, in front of a channel that a null sink empties."""
    folder.mkdir(parents=True)
    port = free_port()
    text = _AVRO_SOURCE.format(port=port, channel=_CHANNELS[channel].format(folder=folder))
    (folder / "agent.properties").write_text(text)
    (folder / "log4j2.xml").write_text(_QUIET)
    class_path = ":".join([str(folder), *(str(jar) for jar in ensure_jars())])
    command = [str(find_java()), HEAP, "-cp", class_path, "org.apache.flume.node.Application"]
    with _process([*command, "-n", "r", "-f", str(folder / "agent.properties"), "--no-reload-conf"], folder) as process:
        _wait(lambda: is_listening(port), process)
        yield Receiver(f"AvroSource, {channel} channel", process.pid, port)


@contextmanager
def _process(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"{process.args!r} does not listen")
        time.sleep(0.05)
