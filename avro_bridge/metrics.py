"""The bridge's metrics, each declared here once with its help text.

No label ever contains text from a peer: the only label values are the ``case`` words of :mod:`avro_bridge.errors` and
the fixed words below. Counters that must survive a restart live in the log (see ``LogCollector``); the others start at
zero with the process, as Prometheus expects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from avro_bridge.log.metadata import COUNTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from avro_bridge.log.log import Log


class LogCollector(Collector):
    """Reads the log's durable counters at each scrape, so that no second copy can drift."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def collect(self) -> Iterable[Metric]:
        """Yield the families of one scrape."""
        now = self._log.metadata()
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"headrace_bridge_{name}", f"{text} Since the log was made.", now.counters[name])
        gauges = (
            ("first_offset", "Offset of the oldest event kept.", now.first_offset),
            ("next_offset", "Offset that the next event will get.", now.next_offset),
            ("log_used_bytes", "Bytes of the log's cap in use.", now.used_bytes),
            ("log_max_bytes", "The log's cap; when it is reached, batches are refused.", self._log.max_bytes),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"headrace_bridge_{name}", text, value=value)
        waiting = [now.next_offset - consumer.committed for consumer in now.consumers.values()]
        yield GaugeMetricFamily(
            "headrace_bridge_waiting_events",
            "Events that the slowest consumer has not committed.",
            value=max(waiting, default=0),
        )


class BridgeMetrics:
    """The counters of the running process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.received_events = Counter(
            "headrace_bridge_received_events",
            "Events that arrived whole and valid, stored or not.",
            registry=self.registry,
        )
        self.received_bytes = Gauge(
            "headrace_bridge_received_bytes",
            "Bytes read from Flume's connections since the start, before inflating and decrypting.",
            registry=self.registry,
        )
        self.replies = Counter(
            "headrace_bridge_replies",
            "Replies to calls by status: ok, failed (send again later) or error.",
            ["status"],
            registry=self.registry,
        )
        self.rejected = Counter(
            "headrace_bridge_rejected",
            "Connections that were closed, by the reason.",
            ["reason"],
            registry=self.registry,
        )
        self.connections = Gauge(
            "headrace_bridge_open_connections", "Open connections from Flume.", registry=self.registry
        )
        self.ack_seconds = Histogram(
            "headrace_bridge_ack_seconds",
            "Time from a whole call to its answer, the sync to disk included.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
            registry=self.registry,
        )
        self.served_events = Counter(
            "headrace_bridge_served_events", "Events sent to readers, replays included.", registry=self.registry
        )
        self.refused_reads = Counter(
            "headrace_bridge_refused_reads",
            "Reads and actions that were answered with an error, by its case.",
            ["case"],
            registry=self.registry,
        )
