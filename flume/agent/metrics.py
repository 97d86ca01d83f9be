"""A typed reading of the JSON page on which Flume shows its components.

The page is ``{"SOURCE.name" | "CHANNEL.name" | "SINK.name": {"EventReceivedCount": "17", ...}}``; every value is a
string, counters begin at 0 with each start of the agent, and there is nothing about a component that did not come up.

The reading is of one instant for each component, not of one for all: terms of a sum differ while lines are under way.
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
        """Return a counter, 0 if this version of Flume does not have it."""
        return self.counters.get(counter, 0)


@dataclass(frozen=True, slots=True)
class AgentMetrics:
    """One reading of the page."""

    components: Mapping[str, Component]

    def missing(self, expected: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the expected components that the page does not show, in the given order."""
        return tuple(key for key in expected if key not in self.components)

    def kind(self, kind: str) -> tuple[Component, ...]:
        """Return the components of a kind: SOURCE, CHANNEL or SINK."""
        return tuple(component for component in self.components.values() if component.kind == kind)

    @property
    def events_read(self) -> int:
        """Events that the sources put into their channels since the start."""
        return sum(source.count("EventAcceptedCount") for source in self.kind("SOURCE"))

    @property
    def events_sent(self) -> int:
        """Events that the bridges acknowledged since the start."""
        return sum(sink.count("EventDrainSuccessCount") for sink in self.kind("SINK"))

    @property
    def events_waiting(self) -> int:
        """Events in the channels."""
        return sum(channel.count("ChannelSize") for channel in self.kind("CHANNEL"))

    @property
    def channel_fill_ratio(self) -> float:
        """The fullest channel, 0.0 to 1.0; 0.0 where there is none."""
        percent = (channel.gauges.get("ChannelFillPercentage", 0.0) for channel in self.kind("CHANNEL"))
        return max(percent, default=0.0) / 100.0

    @property
    def send_failures(self) -> int:
        """Batches that a bridge refused or did not answer, and connections that could not be made."""
        sinks = self.kind("SINK")
        return sum(sink.count("EventWriteFail") + sink.count("ConnectionFailedCount") for sink in sinks)

    @property
    def unhealthy_channels(self) -> tuple[str, ...]:
        """File channels that are not open, so that nothing can be put or taken."""
        return tuple(channel.key for channel in self.kind("CHANNEL") if channel.count("Unhealthy"))


def spooling_source_died(metrics: AgentMetrics) -> bool:
    """Tell whether a spooling source has certainly given up: it could not read a file."""
    return any(source.count("EventReadFail") for source in metrics.kind("SOURCE"))


def spooling_source_stumbles(metrics: AgentMetrics) -> int:
    """Return how often a spooling source failed at something else than reading.

    Flume counts two things here: that the source gave up over the name of a file, which the agent's log tells as well,
    and that it could not list its folder. That happens when a file is renamed in it meanwhile, as every file that is
    handed over is; the next listing makes up for it.
    """
    return sum(source.count("GenericProcessingFail") for source in metrics.kind("SOURCE"))


def parse_metrics(page: bytes) -> AgentMetrics:
    """Read the page's bytes.

    Raises:
        MetricsError: it is not what Flume serves.
    """
    try:
        tree = json.loads(page)
    except ValueError as error:
        raise MetricsError(f"the metrics page is no JSON: {error}") from error
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
        MetricsError: nothing answers in time, or what answers is not Flume's page.
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
            # "Type" is a word, and "Open" and "Closed" of the file channel are true or false.
            continue
    return counters, gauges
