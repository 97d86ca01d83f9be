"""The status in the containers: stages are read over the network, and those that do not answer are down."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from headrace.services import health, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = {
    "SOURCE.spool": {"EventAcceptedCount": "12", "EventReadFail": "0"},
    "CHANNEL.queue": {"ChannelSize": "3", "ChannelFillPercentage": "1.5"},
    "SINK.bridge0_0": {"EventDrainSuccessCount": "9"},
}


class FlumesPage(BaseHTTPRequestHandler):
    """Answers each request with :data:`PAGE`."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(PAGE).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def agent_port() -> Iterator[int]:
    """The port of an agent's metrics page."""
    with HTTPServer(("127.0.0.1", 0), FlumesPage) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_an_agent_that_answers_is_up_and_the_rest_is_down(
    agent_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.log").write_text("12345")
    monkeypatch.setattr(status, "AGENT_HOST", "127.0.0.1")
    monkeypatch.setattr(status, "AGENT_METRICS_PORT", agent_port)
    monkeypatch.setattr(status, "SPOOL", tmp_path)
    # Port 1 is reserved, and nobody listens there.
    monkeypatch.setattr(status, "ADMIN_PORT", 1)
    monkeypatch.setenv("HEADRACE_BRIDGES", "127.0.0.1")
    monkeypatch.setattr(health, "PROGRESS", tmp_path / "progress.json")
    snapshot = status.snapshot()
    assert (snapshot.agent.up, snapshot.agent.read, snapshot.agent.sent) == (True, 12, 9)
    assert (snapshot.agent.spool_files, snapshot.agent.spool_bytes) == (1, 5)
    assert not snapshot.bridge.up
    assert not snapshot.job.up
    assert snapshot.problems() == ["the bridge is down", "the job is unhealthy: the job is starting"]
    assert status.show(as_json=True) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["agent"]["read"] == 12
