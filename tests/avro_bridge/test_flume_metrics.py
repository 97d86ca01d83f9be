"""Flume's metrics pages, translated for Prometheus."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from avro_bridge.flume_metrics import AgentCollector
from tests.support.bridge_process import running_bridge
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _FlumePage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"CHANNEL.c": {"ChannelFillPercentage": "12.5", "Type": "CHANNEL", "StartTime": "1500"}})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def flume_page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _FlumePage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


def test_flumes_own_metrics_stand_beside_ours(tmp_path: Path, flume_page: str) -> None:
    agents = [flume_page, "http://127.0.0.1:1/metrics"]
    with running_bridge(tmp_path, {"admin": {"agents": agents}}) as bridge:
        wait_until(lambda: bridge.metric('headrace_agent_up{agent="0"}') == 1, 10, "the agent's page to be read")
        assert bridge.metric('headrace_agent_up{agent="1"}') == 0
        sample = 'headrace_agent_channel_channel_fill_percentage{agent="0",component="c"}'
        assert bridge.metric(sample) == 12.5
        assert bridge.metric('headrace_agent_channel_start_time_seconds{agent="0",component="c"}') == 1.5


@pytest.mark.parametrize("page", [b"not JSON", b"[1, 2]", b'{"CHANNEL.c": 5}', b"\xff"])
def test_a_page_that_is_none_counts_as_down(page: bytes, tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(page)
    registry = CollectorRegistry()
    registry.register(AgentCollector([(tmp_path / "page").as_uri()]))
    assert registry.get_sample_value("headrace_agent_up", {"agent": "0"}) == 0


def test_figures_become_snake_case_and_texts_are_left_out(tmp_path: Path) -> None:
    figures = {"EventPutAttemptCount": "7", "Type": "SOURCE", "weird-name": "1", "StopTime": "0"}
    (tmp_path / "page").write_text(json.dumps({"SOURCE.spool.1": figures}))
    registry = CollectorRegistry()
    registry.register(AgentCollector([(tmp_path / "page").as_uri()]))
    samples = {sample.name: (sample.labels, sample.value) for each in registry.collect() for sample in each.samples}
    labels = {"agent": "0", "component": "spool.1"}
    assert samples == {
        "headrace_agent_up": ({"agent": "0"}, 1),
        "headrace_agent_source_event_put_attempt_count": (labels, 7),
        "headrace_agent_source_stop_time_seconds": (labels, 0),
    }
