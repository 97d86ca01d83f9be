"""Metrics of Flume agents: translates their JSON pages to Prometheus at each scrape.

Flume 1.11 has no Prometheus endpoint. A component's name comes from the operator's agent configuration, not from log
text, so it may be a label. An agent that does not answer shows as ``headrace_agent_up 0``, never as a failed scrape.
"""

from __future__ import annotations

import re
import urllib.request
from json import loads
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.metrics_core import Metric

TIMEOUT_S = 2.0
MAX_PAGE_BYTES = 1024 * 1024
_TIMES = frozenset({"StartTime", "StopTime"})


class AgentCollector(Collector):
    """Fetches each page at a scrape. All are gauges, since Flume's counters restart at zero with their agent."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    def describe(self) -> Iterable[Metric]:
        """Describe no metric in advance, so that registering does not fetch the pages."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the families of one scrape."""
        up = GaugeMetricFamily("headrace_agent_up", "Whether the agent's metrics page answered.", labels=["agent"])
        families: dict[str, GaugeMetricFamily] = {}
        for number, url in enumerate(self._urls):
            agent = str(number)
            try:
                page = _fetch(url)
            except (OSError, ValueError):
                up.add_metric([agent], 0)
                continue
            up.add_metric([agent], 1)
            for component, figures in page.items():
                _add(families, agent, component, figures)
        yield up
        yield from families.values()


def _fetch(url: str) -> dict[str, dict[str, str]]:
    """Return one page: the figures of each component, all of them texts."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - the operator configures the URL
        # A page beyond the bound is cut and then no JSON, so the agent shows as down instead of filling the memory.
        page = loads(response.read(MAX_PAGE_BYTES))
    if not isinstance(page, dict) or not all(isinstance(figures, dict) for figures in page.values()):
        raise ValueError("not a Flume metrics page")
    return page


def _add(families: dict[str, GaugeMetricFamily], agent: str, component: str, figures: dict[str, str]) -> None:
    """Add the numbers of one component, such as ``CHANNEL.c``, under snake-case names."""
    kind, _, name = component.partition(".")
    for figure, text in figures.items():
        try:
            value = float(text)
        except (TypeError, ValueError):
            continue
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", figure).lower()
        metric = f"headrace_agent_{kind.lower()}_{words}"
        if figure in _TIMES:
            metric, value = f"{metric}_seconds", value / 1000
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", metric):
            continue
        family = families.setdefault(
            metric, GaugeMetricFamily(metric, f"{figure} of Flume's metrics page.", labels=["agent", "component"])
        )
        family.add_metric([agent, name], value)
