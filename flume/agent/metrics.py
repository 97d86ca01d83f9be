"""Reads Flume's JSON metrics page.

The page is ``{"SOURCE.name" | "CHANNEL.name" | "SINK.name": {"EventReceivedCount": "17", ...}}``; every value is a
string, counters begin at 0 with each start of the agent, and a component that did not come up is missing.

Flume reads its components one after the other, so the terms of a sum differ while lines are under way.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flume.errors import MetricsError

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = "/metrics"
_MAX_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Component:
    """One source, channel or sink with its counters as Flume names them."""

    kind: str
    name: str
    counters: Mapping[str, int]
    gauges: Mapping[str, float]

    @property
    def key(self) -> str:
        """The component's name on the page, e.g. ``SINK.bridge0_0``."""
        return f"{self.kind}.{self.name}"

    def count(self, counter: str) -> int:
        """Return a counter; 0 if this version of Flume lacks it."""
        return self.counters.get(counter, 0)


@dataclass(frozen=True, slots=True)
class AgentMetrics:
    """One reading of the page."""

    components: Mapping[str, Component]

    def missing(self, expected: tuple[str, ...]) -> tuple[str, ...]:
        """Return the expected components that the page lacks, in the given order."""
        return tuple(key for key in expected if key not in self.components)

    def kind(self, kind: str) -> tuple[Component, ...]:
        """Return the components of a kind: SOURCE, CHANNEL or SINK."""
        return tuple(component for component in self.components.values() if component.kind == kind)

    @property
    def events_read(self) -> int:
        """Events that the sources have put into their channels since the start."""
        return sum(source.count("EventAcceptedCount") for source in self.kind("SOURCE"))

    @property
    def events_sent(self) -> int:
        """Events that the bridges have acknowledged since the start."""
        return sum(sink.count("EventDrainSuccessCount") for sink in self.kind("SINK"))

    @property
    def events_waiting(self) -> int:
        """Events in the channels."""
        return sum(channel.count("ChannelSize") for channel in self.kind("CHANNEL"))

    @property
    def channel_fill_ratio(self) -> float:
        """Fill ratio of the fullest channel, 0.0 to 1.0; 0.0 without a channel."""
        percent = (channel.gauges.get("ChannelFillPercentage", 0.0) for channel in self.kind("CHANNEL"))
        return max(percent, default=0.0) / 100.0

    @property
    def send_failures(self) -> int:
        """Batches that a bridge refused or did not answer, plus connections that failed."""
        sinks = self.kind("SINK")
        return sum(sink.count("EventWriteFail") + sink.count("ConnectionFailedCount") for sink in sinks)

    @property
    def unhealthy_channels(self) -> tuple[str, ...]:
        """File channels that are not open: Flume can neither put nor take events."""
        return tuple(channel.key for channel in self.kind("CHANNEL") if channel.count("Unhealthy"))


def spooling_source_died(metrics: AgentMetrics) -> bool:
    """Return whether a spooling source has certainly given up, because it could not read a file."""
    return any(source.count("EventReadFail") for source in metrics.kind("SOURCE"))


def spooling_source_failures(metrics: AgentMetrics) -> int:
    """Return how often a spooling source failed for another reason than reading.

    Flume counts two cases here. The source gave up because of a file's name: the agent's log says so too. Or it could
    not list its folder, which happens when a file is renamed in it at that moment, as each file that is handed over is;
    the next listing then succeeds. So this count alone does not mean that the source is dead.
    """
    return sum(source.count("GenericProcessingFail") for source in metrics.kind("SOURCE"))


def parse_metrics(page: bytes) -> AgentMetrics:
    """Read the page's bytes.

    Raises:
        MetricsError: these are not the bytes of Flume's page.
    """
    try:
        tree = json.loads(page)
    except ValueError as error:
        raise MetricsError(f"the metrics page is not JSON: {error}") from error
    if not isinstance(tree, dict) or not all(isinstance(fields, dict) for fields in tree.values()):
        raise MetricsError("the metrics page is not an object of objects")
    components = {}
    for key, fields in tree.items():
        kind, _, name = key.partition(".")
        counters, gauges = _numbers(fields)
        components[key] = Component(kind, name, counters, gauges)
    return AgentMetrics(components)


def read_metrics(url: str, timeout_s: float = 5.0) -> AgentMetrics:
    """Fetch and read the page at ``http://host:port`` or ``http://host:port/metrics``.

    Raises:
        MetricsError: no answer in time, or the answer is not Flume's page.
    """
    parts = urlsplit(url)
    try:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
        try:
            connection.request("GET", parts.path if parts.path not in ("", "/") else PAGE)
            response = connection.getresponse()
            page = response.read(_MAX_PAGE_BYTES)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MetricsError(f"{url}: the agent's metrics page does not answer: {error}") from error
    if response.status != http.HTTPStatus.OK:
        raise MetricsError(f"{url}: the agent's metrics page answers {response.status}")
    return parse_metrics(page)


def _numbers(fields: Mapping[str, object]) -> tuple[dict[str, int], dict[str, float]]:
    counters: dict[str, int] = {}
    gauges: dict[str, float] = {}
    for name, value in fields.items():
        text = str(value)
        if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
            counters[name] = int(text)
        try:
            gauges[name] = float(text)
        except ValueError:
            # "Type" is a word; "Open" and "Closed" of the file channel are true or false.
            continue
    return counters, gauges
