"""The sizes on the page about Kubernetes follow from the costs that it states: the arithmetic is done again here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pytest

from tests.support.source_tree import ROOT

PAGE = ROOT / "docs" / "howto" / "kubernetes.md"
TOLERANCE = 0.02
"""Figures on the page are rounded to three digits."""

MILLION, GIB, HOUR_S = 1_000_000, 2**30, 3600


def tables() -> list[list[list[str]]]:
    """Return the page's tables: rows of cells, the header first and the rule below it left out."""
    found: list[list[list[str]]] = [[]]
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not all(set(cell) <= set("-") and cell for cell in cells):
                found[-1].append(cells)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def number(text: str) -> float:
    return float(text.replace(",", ""))


def stated(heading: str) -> dict[str, float]:
    """Return the figures of the table whose first column has that heading."""
    rows = next(table for table in tables() if table[0][0] == heading)
    return {row[0]: number(row[1]) for row in rows[1:]}


def examples() -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in next(table for table in tables() if "events/s" in table[0][-1])}


@dataclass(frozen=True)
class Size:
    """What one rate needs. Cores are busy ones unless they are to be provided."""

    events_s: float
    trigger_s: float

    def cost(self, what: str) -> float:
        return self.events_s * stated("what")[what] / MILLION

    @property
    def bridge_mb_s(self) -> float:
        return self.events_s * stated("what")["log of the bridge"] / MILLION

    @property
    def batch_cores(self) -> float:
        return stated("what")["job, for a micro-batch"] / self.trigger_s

    @property
    def bridges(self) -> int:
        rules = stated("rule")
        by_cores = self.cost("bridge, taking in and giving out") / rules["a bridge's share of the one core that stores"]
        by_disk = self.bridge_mb_s / rules["a bridge's volume, half of what it can write"]
        return max(1, math.ceil(max(by_cores, by_disk)))

    def agents(self, channel: str) -> int:
        share = stated("rule")["an agent's share of the two cores that it can use"]
        return max(1, math.ceil(self.cost(f"agent, {channel} channel") / share))

    def figures(self) -> dict[str, float]:
        """Return every figure of the example by its name on the page."""
        rules = stated("rule")
        hours = rules["without a job, the logs last"]
        job = self.cost("job, for lines") + self.batch_cores
        bridge = self.cost("bridge, taking in and giving out")
        agent = self.cost("agent, file channel")
        return {
            "cores busy with agents, file channel": agent,
            "agents, file channel": self.agents("file"),
            "cores busy with agents, memory channel": self.cost("agent, memory channel"),
            "agents, memory channel": self.agents("memory"),
            "MB/s into the logs of the bridges": self.bridge_mb_s,
            "cores busy with bridges": bridge,
            "bridges": self.bridges,
            "cores busy with lines in the job": self.cost("job, for lines"),
            "cores busy with micro-batches": self.batch_cores,
            "executors of 2 cores": max(1, math.ceil(job / rules["an executor's share of its two cores"])),
            f"GiB of log in each bridge for {hours:.0f} hours without a job": (
                self.bridge_mb_s * MILLION * hours * HOUR_S / GIB / self.bridges
            ),
            "cores to provide, file channel": math.ceil(2 * (agent + bridge + job)),
        }


def sizes() -> list[Size]:
    rates = [number(re.sub(r" events/s$", "", heading)) for heading in examples()[""]]
    return [Size(rate, number(t)) for rate, t in zip(rates, examples()["seconds between micro-batches"], strict=True)]


def test_the_three_sizes_are_there() -> None:
    assert [size.events_s for size in sizes()] == [1_000, 100_000, 10_000_000]


@pytest.mark.parametrize("place", range(3))
def test_a_size_follows_from_the_costs(place: int) -> None:
    shown = {name: cells[place] for name, cells in examples().items()}
    del shown[""], shown["seconds between micro-batches"]
    expected = sizes()[place].figures()
    assert shown.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, int):
            assert number(shown[name]) == value, name
        else:
            assert number(shown[name]) == pytest.approx(value, rel=TOLERANCE), name
