"""Real bridges for tests: separate processes in a folder of the test, ended with the test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.flight as flight

from avro_bridge.contract import LogStatus, Ticket
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
Settings = dict[str, dict[str, Any]]


@dataclass
class RunningBridge:
    """A bridge that listens."""

    folder: Path
    process: subprocess.Popen[bytes]
    avro_port: int
    flight_port: int
    admin_port: int
    log_id: str

    def status(self) -> LogStatus:
        """What ``/status`` says."""
        return LogStatus.from_bytes(self.page("status")[1].encode())

    def page(self, name: str) -> tuple[int, str]:
        """Code and text of an admin page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/{name}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, sample: str) -> float:
        """One sample of ``/metrics``, 0 when it is not there yet."""
        lines = (line.rpartition(" ") for line in self.page("metrics")[1].splitlines())
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    def log_lines(self) -> list[dict[str, Any]]:
        """What the process logged so far."""
        return [json.loads(line) for line in (self.folder / "bridge.log").read_text().splitlines()]

    def act(self, action: str, **body: Any) -> dict[str, Any]:
        """Run a Flight action and return its result."""
        with flight.connect(f"grpc://127.0.0.1:{self.flight_port}") as client:
            results = list(client.do_action(flight.Action(action, json.dumps(body).encode())))
        return dict(json.loads(results[0].body.to_pybytes()))

    def read(
        self, start: int, end: int, *, headers: bool = False, blocks: bool = False, log_id: str | None = None
    ) -> Any:
        """Read a range as an Arrow table."""
        ticket = Ticket(log_id or self.log_id, start, end, headers, blocks)
        with flight.connect(f"grpc://127.0.0.1:{self.flight_port}") as client:
            return client.do_get(flight.Ticket(ticket.to_bytes())).read_all()

    def action(self, name: str, body: dict[str, Any]) -> Any:
        """Run an action and return its result."""
        with flight.connect(f"grpc://127.0.0.1:{self.flight_port}") as client:
            (result,) = client.do_action(flight.Action(name, json.dumps(body).encode()))
            return json.loads(result.body.to_pybytes())

    def bodies(self) -> list[bytes]:
        """The bodies of all events that are kept, in order."""
        now = self.status()
        return list(self.read(now.first_offset, now.next_offset)["body"].to_pylist())

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


def write_config(path: Path, settings: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a bridge's TOML file; dotted section names make sub-tables."""
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def start_bridge(
    folder: Path, settings: Settings | None = None, command: Sequence[str] = (sys.executable, "-m", "avro_bridge")
) -> RunningBridge:
    """Start a bridge on free ports, with its log in ``folder/data``, and wait until it listens."""
    folder.mkdir(parents=True, exist_ok=True)
    merged: Settings = {"listen": {"port": 0}, "flight": {"port": 0}, "admin": {"port": 0}}
    merged["log"] = {"folder": str(folder / "data")}
    for section, values in (settings or {}).items():
        merged[section] = {**merged.get(section, {}), **values}
    config = write_config(folder / "bridge.toml", merged)
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    with (folder / "bridge.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "serve", "--config", str(config), "--ready-file", str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None, START_TIMEOUT_S, "the bridge to listen")
        assert ready.exists(), f"the bridge ended: {(folder / 'bridge.log').read_text()}"
        facts = json.loads(ready.read_text())
        return RunningBridge(
            folder, process, facts["avro_port"], facts["flight_port"], facts["admin_port"], facts["log_id"]
        )
    except BaseException:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        raise


@contextmanager
def running_bridge(folder: Path, settings: Settings | None = None) -> Iterator[RunningBridge]:
    """Run a bridge for the length of a block."""
    bridge = start_bridge(folder, settings)
    try:
        yield bridge
    finally:
        if bridge.process.poll() is None:
            bridge.kill()
