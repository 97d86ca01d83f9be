"""The three stages for the supervisor: how each is started, when it is ready, and why it has failed.

Every stage keeps its data in the state folder, so a restarted stage goes on where it was. The bridge keeps its ports
during a run, because the agent and the job have them in their configuration.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import tomli_w

from flume.agent.output_log import RotatingLog
from flume.agent.process import Agent
from flume.config.render import render_agent
from flume.config.values import Values, default_values
from flume.errors import AgentError, AgentNotReady
from headrace.common.files import PRIVATE_MODE, replace_file
from headrace.errors import StageFailed
from headrace.local.child_process import ChildProcess
from headrace.local.stage_output import exit_failure, read_json
from headrace.local.supervisor import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flume.agent.metrics import AgentMetrics
    from headrace.local.run_options import RunOptions
    from headrace.state_folder import StateFolder

AGENT_GRACE_S = 20.0
LOOK_EVERY_S = 1.0
BRIDGE_GRACE_S = 30.0
JOB_GRACE_S = 45.0
JOB_NICENESS = 10
"""When the cores are busy, the agent goes first: lines that wait at the bridge are counted in fewer and larger
micro-batches, which costs less in all."""


class BridgeStage:
    """``python -m avro_bridge serve`` over a configuration in the state folder."""

    name = "bridge"
    start_timeout_s = 120.0
    """The first start on a machine compiles the kernels, which takes up to a minute."""

    def __init__(self, state: StateFolder, environment: Mapping[str, str]) -> None:
        self._state = state
        self._environment = environment
        self._ready_file = state.bridge / "ready.json"
        self._process: ChildProcess | None = None
        self.log_id = ""
        self.ports: dict[str, int] = {}

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Write the configuration with the ports of the last start in this run, then start."""
        self._ready_file.unlink(missing_ok=True)
        configuration = self._state.bridge / "bridge.toml"
        configuration.write_text(self._configuration(), encoding="utf-8")
        command = [sys.executable, "-m", "avro_bridge", "serve", "--config", str(configuration)]
        command += ["--ready-file", str(self._ready_file)]
        self._process = ChildProcess(command, self._state.log_of(self.name), self._environment)

    def is_ready(self) -> bool:
        """Whether this process has announced its ports; an announcement of an earlier process does not count."""
        announced = read_json(self._ready_file)
        if announced is None or announced.get("pid") != self.pid:
            return False
        self.ports = {name: int(announced[f"{name}_port"]) for name in ("avro", "flight", "admin")}
        self.log_id = str(announced["log_id"])
        return True

    def failure(self) -> Failure | None:
        """Return why the process has ended; None while it lives."""
        return exit_failure(self._process)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.end(0)

    def stop(self, grace_s: float = BRIDGE_GRACE_S) -> None:
        """Let it answer the open calls, sync and close; kill it after ``grace_s``."""
        if self._process is not None:
            self._process.end(grace_s)

    def _configuration(self) -> str:
        # Port 0 lets the system choose; a later start of the run asks for the ports that the first one got.
        settings = {
            "listen": {"port": self.ports.get("avro", 0)},
            "flight": {"port": self.ports.get("flight", 0)},
            "admin": {"port": self.ports.get("admin", 0)},
            "log": {"folder": str(self._state.bridge / "data")},
        }
        return f"# Written by headrace at each start of the bridge.\n{tomli_w.dumps(settings)}"


class JobStage:
    """``python -m spark_job NAME``. Its tables go to our standard output."""

    name = "job"
    start_timeout_s = 180.0

    def __init__(
        self,
        state: StateFolder,
        options: RunOptions,
        bridge: BridgeStage,
        environment: Mapping[str, str],
        stdout: int | IO[bytes] | None = None,
    ) -> None:
        self._state = state
        self._options = options
        self._bridge = bridge
        self._environment = environment
        self._stdout = stdout
        self._drain_file = state.job / "drain-to.json"
        self._tally_file = state.job / "tally.json"
        self._drain_target: dict[str, int] | None = None
        self._process: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return self._process.pid if self._process is not None else None

    @property
    def ports(self) -> dict[str, int]:
        """No ports: the job reports through its progress file."""
        return {}

    def start(self) -> None:
        """Start it with the bridge's current address; a drain that was asked for goes on."""
        self._tally_file.unlink(missing_ok=True)
        if self._drain_target is None:
            self._drain_file.unlink(missing_ok=True)
        command = job_command(self._options, self._bridge.ports["flight"], self._state.job, self._drain_file)
        self._process = ChildProcess(command, self._state.log_of(self.name), self._environment, self._stdout)
        self._process.lower_priority(JOB_NICENESS)

    def is_ready(self) -> bool:
        """Whether the query of this process runs; a progress file of an earlier process does not count."""
        progress = read_json(self._state.job / "progress.json")
        return (
            progress is not None
            and progress.get("pid") == self.pid
            and progress.get("state") not in ("starting", "failed")
        )

    def failure(self) -> Failure | None:
        """Return why the process has ended; None while it lives, and after an end that was asked for."""
        failure = None if self.finished else exit_failure(self._process)
        if failure is None or failure.final is not None:
            return failure
        progress = read_json(self._state.job / "progress.json") or {}
        is_lost_cause = progress.get("pid") == self.pid and progress.get("state") == "failed"
        # A job of an earlier version does not say.
        return replace(failure, final=StageFailed) if is_lost_cause and not progress.get("retry", True) else failure

    @property
    def finished(self) -> bool:
        """Whether it has drained: the process has ended and left its tally, which it writes last."""
        return self._drain_target is not None and self.exit_code() is not None and self._tally_file.exists()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.end(0)

    def drain_to(self, offsets: Mapping[str, int]) -> None:
        """Ask the job to end when it has counted up to ``offsets`` (log id to offset)."""
        self._drain_target = dict(offsets)
        replace_file(self._drain_file, json.dumps(dict(offsets)).encode(), mode=PRIVATE_MODE)

    def exit_code(self) -> int | None:
        """Return the exit code; None while the process lives."""
        return self._process.exit_code() if self._process is not None else None

    def stop(self, grace_s: float = JOB_GRACE_S) -> None:
        """Let it stop the query between two micro-batches; kill it after ``grace_s``."""
        if self._process is not None:
            self._process.end(grace_s)


class AgentStage:
    """The Flume agent between the spool folder and the bridge. ``jars`` is its class path."""

    name = "agent"
    start_timeout_s = 60.0

    def __init__(
        self,
        state: StateFolder,
        channel: str,
        bridge: BridgeStage,
        jars: Sequence[Path],
    ) -> None:
        self._state = state
        self._channel = channel
        self._bridge = bridge
        self._jars = jars
        self._agent: Agent | None = None
        self._log: RotatingLog | None = None
        self._next_look_s = 0.0

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return self._agent.pid if self._agent is not None else None

    @property
    def ports(self) -> dict[str, int]:
        """The port of the metrics page, when it is known."""
        url = self._agent.metrics_url if self._agent is not None else None
        return {} if url is None else {"metrics": urlsplit(url).port or 0}

    def start(self) -> None:
        """Render the configuration with the bridge's current address, then start."""
        self.kill()
        rendered = render_agent(self._values(), self._state.agent)
        self._log = RotatingLog(self._state.log_of(self.name))
        self._agent = Agent(rendered, self._jars, output=self._log.write)
        try:
            self._agent.start()
        except AgentError as error:
            self.kill()
            self._agent = None
            raise OSError(str(error)) from error

    def is_ready(self) -> bool:
        """Whether every component of the configuration has started."""
        if self._agent is None:
            return False
        try:
            self._agent.wait_ready(0)
        except AgentNotReady:
            return False
        return True

    def failure(self) -> Failure | None:
        """Return why the agent reads no more: its process has ended, or its source has given up on a file."""
        # A dead process is cheap to notice, so every call does. A dead source shows only on the metrics page, which is
        # read once a second.
        if self._agent is None or (self._agent.returncode is None and time.monotonic() < self._next_look_s):
            return None
        self._next_look_s = time.monotonic() + LOOK_EVERY_S
        try:
            self._agent.poll()
        except AgentError as error:
            return Failure(str(error).removeprefix("the agent "))
        return None

    def read_metrics(self) -> AgentMetrics | None:
        """Read the metrics page now; None without an answer."""
        try:
            return self._agent.poll() if self._agent is not None else None
        except AgentError:
            return None

    def kill(self) -> None:
        """End the process at once."""
        self.stop(0)

    def stop(self, grace_s: float = AGENT_GRACE_S) -> None:
        """Let the source finish its batch and the channel write its checkpoint; kill it after ``grace_s``."""
        if self._agent is not None:
            self._agent.stop(grace_s)
        if self._log is not None:
            self._log.close()
            self._log = None

    def _values(self) -> Values:
        return default_values().changed(
            {
                "spool.folder": str(self._state.spool),
                # With a memory channel the files are the only copy until their lines are acknowledged.
                "spool.when_done": "delete" if self._channel == "file" else "rename",
                "channel.type": self._channel,
                "channel.folder": str(self._state.agent / "channel"),
                "sinks.bridges": [{"host": "127.0.0.1", "port": self._bridge.ports["avro"]}],
            }
        )


def job_command(options: RunOptions, flight_port: int, folder: Path, drain_file: Path) -> list[str]:
    """Return the command that runs a job on the bridge of this machine."""
    arguments = options.job_arguments(bridges=f"127.0.0.1:{flight_port}", job_folder=folder, drain_to_file=drain_file)
    return [sys.executable, "-m", "spark_job", *arguments]
