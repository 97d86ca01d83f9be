"""The bridge's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from avro_bridge.log.log import Log
from avro_bridge.log.metadata import COUNTERS
from avro_bridge.log.settings import LogSettings
from avro_bridge.metrics import BridgeMetrics, LogCollector
from tests.support.log_helpers import MIB, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as opened:
        yield opened


def test_the_logs_figures_are_read_at_each_scrape(log: Log) -> None:
    registry = CollectorRegistry()
    registry.register(LogCollector(log))

    def sample(name: str) -> float | None:
        return registry.get_sample_value(f"headrace_bridge_{name}")

    assert (sample("next_offset"), sample("stored_events_total"), sample("waiting_events")) == (0, 0, 0)
    log.append([lines(5)], acknowledged_events=4)
    log.start_consumer("slow", 1)
    log.start_consumer("fast", 5)
    assert (sample("next_offset"), sample("stored_events_total"), sample("acknowledged_events_total")) == (5, 5, 4)
    assert sample("waiting_events") == 4, "of the slowest consumer"
    assert sample("log_used_bytes") == log.used_bytes
    assert sample("log_max_bytes") == MIB


def test_every_durable_counter_is_exported(log: Log) -> None:
    names = {family.name for family in LogCollector(log).collect() if family.type == "counter"}
    assert names == {f"headrace_bridge_{name}" for name in COUNTERS}


def test_two_bridges_in_one_process_do_not_share_counters() -> None:
    one, other = BridgeMetrics(), BridgeMetrics()
    one.received_bytes.inc(10)
    one.rejected.labels(reason="frame").inc()
    assert one.registry.get_sample_value("headrace_bridge_received_bytes") == 10
    assert other.registry.get_sample_value("headrace_bridge_received_bytes") == 0
    assert one.registry.get_sample_value("headrace_bridge_rejected_total", {"reason": "frame"}) == 1
