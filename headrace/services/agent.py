"""The agent's container: renders the configuration, runs Flume, and exits when Flume has died or given up.

The channel is a file channel on a volume: containers are killed more often than machines, and lines that were read from
the spool folder must survive that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flume.agent.process import Agent
from flume.config.render import render_agent
from flume.config.values import Values, default_values
from flume.errors import AgentNotReady, FlumeError
from flume.jars.cache import ensure_jars
from headrace.common.bridge_defaults import AVRO_PORT
from headrace.services.environment import AGENT_METRICS_PORT, bridges, read_number

if TYPE_CHECKING:
    from collections.abc import Sequence

SPOOL, CHANNEL = "/spool", "/data/channel"
FOLDER = Path("/tmp/agent")  # noqa: S108 - a tmpfs of this container alone
COMPONENTS = FOLDER / "components"
"""The components that the metrics page must show, one name a line; the health check reads this file."""

POLL_INTERVAL_S = 1.0
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 25.0


def agent_values(hosts: Sequence[str], heap_mib: int) -> Values:
    """Return the values of an agent that ships the spool folder to these bridges, in turn."""
    return default_values().changed(
        {
            "spool.folder": SPOOL,
            "spool.when_done": "delete",
            "channel.type": "file",
            "channel.folder": CHANNEL,
            "sinks.bridges": [{"host": host, "port": AVRO_PORT} for host in hosts],
            "sinks.group": "load_balance" if len(hosts) > 1 else "none",
            "jvm.heap_mib": heap_mib,
            # Java caches an address for 30 seconds, and a restarted container may have another one.
            "jvm.options": ["-Dsun.net.inetaddr.ttl=5", "-Dsun.net.inetaddr.negative.ttl=1"],
            # The bridge reads this page; only containers of the project are in the network.
            "metrics.host": "0.0.0.0",  # noqa: S104
            "metrics.port": AGENT_METRICS_PORT,
        }
    )


def values_of_environment() -> Values:
    """Return the agent's values as this container's variables set them."""
    return agent_values(bridges(), read_number("HEADRACE_AGENT_HEAP_MIB"))


def run() -> int:
    """Run the agent until SIGTERM; return the exit code.

    Raises:
        ValueError: a variable cannot be used.
        FlumeError: the configuration cannot be used, Flume does not start, or it has died or given up. The container
            ends then, and the container engine restarts it.
    """
    values = values_of_environment()
    # Files that Flume writes into the spool folder and the channel are for this account only.
    os.umask(0o077)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    rendered = render_agent(values, FOLDER)
    with Agent(rendered, ensure_jars(), output=_print_line) as agent:
        agent.start()
        COMPONENTS.write_text("".join(f"{name}\n" for name in rendered.components), encoding="ascii")
        try:
            _watch(agent, stop)
        except FlumeError:
            if not stop.is_set():
                raise
        agent.stop(STOP_TIMEOUT_S)
    return 0


def _watch(agent: Agent, stop: threading.Event) -> None:
    """Return when a stop is requested; any other end of the agent is an error."""
    _wait_ready(agent, stop)
    while not stop.wait(POLL_INTERVAL_S):
        agent.poll()


def _wait_ready(agent: Agent, stop: threading.Event) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not stop.is_set():
        try:
            agent.wait_ready(POLL_INTERVAL_S)
        except AgentNotReady:
            if time.monotonic() < deadline:
                continue
            raise
        return


def _print_line(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
