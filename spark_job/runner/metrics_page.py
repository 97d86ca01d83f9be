"""Serves a job's Prometheus page: ``progress.json``, translated at each scrape.

The file is the only source of a job's state, so the page keeps no counters that could differ from it. Counters start
when the job's folder is made, as in the results table, and continue after a restart. No label contains text from a
log.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

STATES = ("starting", "running", "draining", "stopping", "stopped", "failed")
OUTCOMES = ("counted", "malformed", "late", "too_old", "lost")
MAX_PORT = 65_535

GAUGES = {
    "state_rows": ("state_rows", "Rows that Spark keeps for what is still open; 0 for URL counts."),
    "waiting_events": ("waiting", "Events that the bridges hold and the job has not read; absent when one is silent."),
    "batch_id": ("batch_id", "Number of the newest micro-batch of this process."),
}
"""Name of a metric without its prefix, to the field of the file and the help text."""

TIMES = {
    "checked_timestamp_seconds": ("checked_at", "When the job last looked after its query."),
    "batch_timestamp_seconds": ("batch_at", "When this process stored its newest micro-batch."),
    "watermark_timestamp_seconds": ("watermark", "Event time before which a watermark has closed windows."),
}


class ProgressCollector(Collector):
    """Reads the file at each scrape. A field that is missing is a metric that is missing."""

    def __init__(self, progress: Path) -> None:
        self._progress = progress

    def describe(self) -> Iterable[Metric]:
        """Declare no metrics, so that registering does not read the file."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families of one scrape."""
        fields = self._read()
        states = GaugeMetricFamily("headrace_job_state", "1 for what the job is doing, else 0.", labels=["state"])
        for name in STATES:
            states.add_metric([name], fields.get("state") == name)
        yield states
        for name, (field, text) in GAUGES.items():
            yield from _gauge(name, text, fields.get(field))
        for name, (field, text) in TIMES.items():
            yield from _gauge(name, text, _epoch_s(fields.get(field)))
        batch_ms = fields.get("batch_ms")
        batch_s = batch_ms / 1000 if isinstance(batch_ms, (int, float)) else None
        yield from _gauge("batch_seconds", "How long the newest micro-batch took.", batch_s)
        tally = fields.get("tally")
        if isinstance(tally, dict):
            yield from _tally(tally)

    def _read(self) -> dict[str, Any]:
        try:
            fields = json.loads(self._progress.read_bytes())
        except (OSError, ValueError):
            return {}
        return fields if isinstance(fields, dict) else {}


def _gauge(name: str, text: str, value: object) -> Iterator[Metric]:
    if isinstance(value, (int, float)):
        yield GaugeMetricFamily(f"headrace_job_{name}", text, value=value)


def _epoch_s(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None


def _tally(tally: dict[str, Any]) -> Iterator[Metric]:
    read = tally.get("read")
    if isinstance(read, int):
        text = "Lines that the job has read, since its folder was made."
        yield CounterMetricFamily("headrace_job_read_lines", text, value=read)
    text = "What became of the lines read; late is for jobs with a watermark, too_old for those with retention."
    outcomes = CounterMetricFamily("headrace_job_lines", text, labels=["outcome"])
    for outcome in OUTCOMES:
        if isinstance(tally.get(outcome), int):
            outcomes.add_metric([outcome], tally[outcome])
    yield outcomes
    if isinstance(tally.get("balanced"), bool):
        yield from _gauge("balanced", "1 while the terms add up to the lines read.", int(tally["balanced"]))


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; port 0 takes a free one.

    Raises:
        OptionError: the text is not such an address.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) <= MAX_PORT):
        raise OptionError(f"--metrics={text!r}: give host:port, for example 127.0.0.1:4144")
    return host.strip("[]"), int(port)


@contextmanager
def metrics_page(progress: Path, address: str) -> Iterator[int]:
    """Serve the page of the job that writes ``progress`` while the block runs; yield the port. Empty address: no page.

    Raises:
        OptionError: the address cannot be used.
    """
    if not address:
        yield 0
        return
    host, port = parse_address(address)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProgressCollector(progress))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise OptionError(f"--metrics={address!r}: cannot be bound: {error.strerror}") from None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
