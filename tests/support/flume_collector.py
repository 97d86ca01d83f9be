"""A stock Flume agent that collects from others: Avro source, memory channel, Flume's own Avro sink."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flume.jars.cache import ensure_jars
from tests.support.agents import java_or_skip
from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONFIGURATION = """
c.sources = in
c.channels = queue
c.sinks = out
c.sources.in.type = avro
c.sources.in.bind = 127.0.0.1
c.sources.in.port = {port}
c.sources.in.channels = queue
c.channels.queue.type = memory
c.sinks.out.type = avro
c.sinks.out.hostname = 127.0.0.1
c.sinks.out.port = {bridge_port}
c.sinks.out.channel = queue
"""


@contextmanager
def running_collector(folder: Path, bridge_port: int) -> Iterator[int]:
    """Run such an agent with Flume's defaults, in front of a bridge; yield the port that it listens on."""
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "agent.properties").write_text(_CONFIGURATION.format(port=port, bridge_port=bridge_port))
    class_path = os.pathsep.join(map(str, ensure_jars()))
    command = [str(java_or_skip()), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", class_path]
    command += ["org.apache.flume.node.Application", "-n", "c", "-f", "agent.properties", "--no-reload-conf"]
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: is_listening(port), 60, "the collecting agent to listen")
            yield port
        finally:
            process.kill()
            process.wait()
