"""Flume's page is read as numbers, and what it does not say plainly is said plainly."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from flume.agent.metrics import parse_metrics, read_metrics, spooling_source_died, spooling_source_failures
from flume.errors import MetricsError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Cut from the page of an agent of Flume 1.11.0, file channel, spooling directory source, two sinks.
PAGE = {
    "SOURCE.spool": {"Type": "SOURCE", "EventAcceptedCount": "12", "EventReadFail": "0", "GenericProcessingFail": "0"},
    "CHANNEL.queue": {
        "Type": "CHANNEL",
        "ChannelSize": "3",
        "ChannelFillPercentage": "1.5",
        "Open": "true",
        "Unhealthy": "0",
    },
    "SINK.bridge0_0": {
        "Type": "SINK",
        "EventDrainSuccessCount": "4",
        "EventWriteFail": "1",
        "ConnectionFailedCount": "0",
    },
    "SINK.bridge1_0": {
        "Type": "SINK",
        "EventDrainSuccessCount": "5",
        "EventWriteFail": "0",
        "ConnectionFailedCount": "2",
    },
}


def changed(component: str, **counters: str) -> bytes:
    return json.dumps({**PAGE, component: {**PAGE[component], **counters}}).encode()


def test_the_page_is_summed_up() -> None:
    metrics = parse_metrics(json.dumps(PAGE).encode())
    assert (metrics.events_read, metrics.events_waiting, metrics.events_sent) == (12, 3, 9)
    assert metrics.channel_fill_ratio == 0.015
    assert metrics.send_failures == 3
    assert metrics.unhealthy_channels == ()
    assert [component.key for component in metrics.kind("SINK")] == ["SINK.bridge0_0", "SINK.bridge1_0"]
    assert metrics.components["SOURCE.spool"].count("NoSuchCounter") == 0
    assert not spooling_source_died(metrics)


def test_components_that_did_not_come_up_are_named_in_the_given_order() -> None:
    metrics = parse_metrics(json.dumps(PAGE).encode())
    assert metrics.missing(("SINK.z", "SOURCE.spool", "CHANNEL.a")) == ("SINK.z", "CHANNEL.a")
    assert parse_metrics(b"{}").missing(("SOURCE.spool",)) == ("SOURCE.spool",)
    assert parse_metrics(b"{}").channel_fill_ratio == 0.0


def test_a_dead_source_and_a_closed_channel_are_recognised() -> None:
    assert spooling_source_died(parse_metrics(changed("SOURCE.spool", EventReadFail="1")))
    stumbled = parse_metrics(changed("SOURCE.spool", GenericProcessingFail="2"))
    assert (spooling_source_died(stumbled), spooling_source_failures(stumbled)) == (False, 2)
    assert parse_metrics(changed("CHANNEL.queue", Unhealthy="1")).unhealthy_channels == ("CHANNEL.queue",)


@pytest.mark.parametrize("page", [b"", b"<html>", b"[]", b'{"SOURCE.a": 1}', b"\xff"])
def test_what_is_not_flumes_page_is_an_error(page: bytes) -> None:
    with pytest.raises(MetricsError):
        parse_metrics(page)


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/metrics" else 500)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_the_page_is_fetched_with_or_without_its_path() -> None:
    with serving(200, json.dumps(PAGE).encode()) as url:
        assert read_metrics(url).events_sent == 9
        assert read_metrics(f"{url}/").events_sent == 9
        assert read_metrics(f"{url}/metrics").events_sent == 9


def test_another_status_or_no_answer_is_an_error() -> None:
    with serving(404, b"{}") as url, pytest.raises(MetricsError, match="answers 404"):
        read_metrics(url)
    with pytest.raises(MetricsError, match="does not answer"):
        read_metrics(url, timeout_s=1.0)
    with pytest.raises(MetricsError, match="does not answer"):
        read_metrics("http://127.0.0.1:99999")
