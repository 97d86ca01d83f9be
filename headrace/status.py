"""A snapshot of the pipeline: the counters of all stages, and the sums that they must satisfy.

==============  ========================================  ============================================================
term            source                                    meaning
==============  ========================================  ============================================================
acknowledged    the bridge's durable counter              events whose OK was written to Flume's connection
stored          the bridge's durable counter              events written to the log
duplicates      the bridge's durable counter              events that were sent again after a lost OK, and left out
read            the job's ledger                          sum over the ranges of all its micro-batches
waiting         *derived*: bridge's next offset minus     each side is read once
                the job's position
counted         *derived*: the results table              (hits + missed windows) / windows of a line
malformed       the readers' audit                        lines that no format fits
too old         the readers' audit and the results table  lines whose windows are all closed; of url-counts
late            the readers' audit and the watermark      lines older than the watermark; of jobs that have one
==============  ========================================  ============================================================

A counter is None if its stage did not answer. A sum with such a term is neither true nor false.

The stages are read one after the other while lines move. This breaks no sum: all counters of one stage are from one
answer, and where a sum has terms of two stages (stored, read), ``waiting`` contains what moved in between.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flume.agent.metrics import read_metrics, spooling_source_died
from flume.errors import MetricsError
from headrace.job_status import JobStatus, job_status
from headrace.run_end import RunEnd
from headrace.state_folder import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from flume.agent.metrics import AgentMetrics
    from headrace.state_folder import StageRecord, StateFolder

ANSWER_TIMEOUT_S = 3.0
COMPLETED_SUFFIX = ".COMPLETED"


@dataclass(frozen=True)
class AgentStatus:
    """The agent's counters since its start, and the spool folder."""

    up: bool
    spool_files: int
    spool_bytes: int
    read: int | None = None
    channel: int | None = None
    channel_fill: float | None = None
    sent: int | None = None
    send_failures: int | None = None
    source_dead: bool = False


@dataclass(frozen=True)
class BridgeStatus:
    """The counters of one bridge, or the sums over several, since their logs were created."""

    up: bool
    log_id: str = ""
    acknowledged: int | None = None
    stored: int | None = None
    duplicates: int | None = None
    dropped: int | None = None
    first_offset: int | None = None
    next_offset: int | None = None
    used_bytes: int | None = None
    max_bytes: int | None = None
    consumers: dict[str, int] = field(default_factory=dict)
    """Name of a consumer to the number of events that it has not committed."""
    next_offsets: dict[str, int] = field(default_factory=dict)
    """Log id to the offset of the next event, for each bridge that answered."""


@dataclass(frozen=True)
class Sum:
    """The claim that ``left`` equals the sum of ``right``; each term is (name, number, source of the number)."""

    left: tuple[str, int | None, str]
    right: tuple[tuple[str, int | None, str], ...]
    note: str = ""

    @property
    def difference(self) -> int | None:
        """Left minus right; None if a term is not known."""
        if self.left[1] is None or any(number is None for _, number, _ in self.right):
            return None
        return self.left[1] - sum(number or 0 for _, number, _ in self.right)


@dataclass(frozen=True)
class Snapshot:
    """All three stages, read from the job back to the agent, so that lines that move meanwhile only add on the left."""

    agent: AgentStatus
    bridge: BridgeStatus
    job: JobStatus
    states: Mapping[str, str] = field(default_factory=dict)
    """State of each stage in the run: starting, ready, restarting, ...; empty if nothing runs."""
    end: RunEnd | None = None
    """How the newest run ended, if nothing runs now."""

    def state_of(self, name: str) -> str:
        """Return the state of a stage in one word: up, down, stopped, or what it does on the way up."""
        if self.end is not None and self.end.stopped:
            return "failed" if name in self.end.failed else "stopped"
        up = {"agent": self.agent.up, "bridge": self.bridge.up, "job": self.job.up}[name]
        state = self.states.get(name, "")
        return "up" if up else state if state not in ("", "ready", "stopped") else "down"

    def sums(self) -> tuple[Sum, ...]:
        """Return the three sums of the pipeline, in the order of the data."""
        bridge, job = self.bridge, self.job
        waiting = None
        if bridge.next_offset is not None and job.read is not None:
            waiting = sum(end - job.positions.get(log_id, 0) for log_id, end in bridge.next_offsets.items())
        acknowledged = Sum(
            ("acknowledged", bridge.acknowledged, "bridge"),
            (("stored", bridge.stored, "bridge"), ("duplicates", bridge.duplicates, "bridge")),
        )
        if (acknowledged.difference or 0) < 0:
            # Stored and not acknowledged is harmless, so it gets a note. The reverse, acknowledged and not stored, must
            # never happen, and stays a problem.
            acknowledged = replace(acknowledged, note="stored, its OK not known to be sent: Flume would send it again")
        return (
            acknowledged,
            Sum(
                ("stored", bridge.stored, "bridge"),
                (
                    ("read", job.read, "job"),
                    ("lost", job.lost, "job"),
                    ("waiting", waiting, "derived: bridge's next offset - job's position"),
                ),
            ),
            Sum(
                ("read", job.read, "job"),
                (
                    ("counted", job.counted, "derived: hits in the table / windows of a line"),
                    ("malformed", job.malformed, "job"),
                    *((name, number, "job") for name, number in job.not_counted()),
                    # Jobs that store only final results keep the other lines open.
                    *((("open", job.open, "derived: lines whose results are not final yet"),) if job.open else ()),
                ),
            ),
        )

    def problems(self) -> list[str]:
        """Return the problems, one sentence each: stages that are down, a dead source, sums that do not hold."""
        states = {name: self.state_of(name) for name in STAGES}
        found = self.end.problems() if self.end is not None else []
        found += [
            f"the {name} is {state}" for name, state in states.items() if state not in ("up", "stopped", "failed")
        ]
        if self.agent.source_dead:
            found.append("the agent's source gave up on a file and reads no more")
        found += [
            f"{each.left[0]} differs by {each.difference:+,} from the sum of its parts"
            for each in self.sums()
            if each.difference and not each.note
        ]
        return found


def take_snapshot(state: StateFolder, now: datetime) -> Snapshot:
    """Ask every stage of the run in a state folder. If none runs, most counters are None."""
    newest = state.read_run()
    run = newest if state.is_locked() else None
    stages: Mapping[str, StageRecord] = run.stages if run is not None else {}
    name = newest.job if newest is not None else ""
    job = job_status(state.job / "progress.json", name, up=_is_ready(stages.get("job")), now=now)
    bridge = bridge_status(stages["bridge"].ports.get("admin") if "bridge" in stages else None)
    agent = agent_status(stages["agent"].ports.get("metrics") if "agent" in stages else None, state.spool)
    end = RunEnd.of(newest) if newest is not None and run is None else None
    return Snapshot(agent, bridge, job, {name: stage.state for name, stage in stages.items()}, end)


def agent_status(metrics_port: int | None, spool: Path) -> AgentStatus:
    """Read the spool folder and the metrics page of the agent on this machine."""
    return agent_status_at(None if metrics_port is None else f"http://127.0.0.1:{metrics_port}", spool)


def agent_status_at(metrics_url: str | None, spool: Path) -> AgentStatus:
    """Read the spool folder and an agent's metrics page."""
    files, size = spool_content(spool)
    metrics: AgentMetrics | None = None
    if metrics_url is not None:
        try:
            metrics = read_metrics(metrics_url, ANSWER_TIMEOUT_S)
        except MetricsError:
            metrics = None
    if metrics is None:
        return AgentStatus(up=False, spool_files=files, spool_bytes=size)
    return AgentStatus(
        up=True,
        spool_files=files,
        spool_bytes=size,
        read=metrics.events_read,
        channel=metrics.events_waiting,
        channel_fill=metrics.channel_fill_ratio,
        sent=metrics.events_sent,
        send_failures=metrics.send_failures,
        source_dead=spooling_source_died(metrics),
    )


def spool_content(spool: Path) -> tuple[int, int]:
    """Return the number of files that wait for the agent, and their size in bytes."""
    sizes = [size for _, size in waiting_files(spool)]
    return len(sizes), sum(sizes)


def waiting_files(spool: Path) -> Iterable[tuple[str, int]]:
    """Yield name and size of each file that the agent has not finished, including the one that it reads."""
    try:
        entries = list(os.scandir(spool))
    except FileNotFoundError:
        return
    for entry in entries:
        if not entry.name.startswith(".") and not entry.name.endswith(COMPLETED_SUFFIX):
            try:
                yield entry.name, entry.stat().st_size
            except FileNotFoundError:
                continue


def bridge_status(admin_port: int | None) -> BridgeStatus:
    """Read the status page of the bridge on this machine."""
    return bridge_status_at(f"http://127.0.0.1:{admin_port}") if admin_port else BridgeStatus(up=False)


def bridge_status_at(admin_url: str) -> BridgeStatus:
    """Read a bridge's status page."""
    status = fetch_json(f"{admin_url}/status")
    if status is None:
        return BridgeStatus(up=False)
    counters = status["counters"]
    return BridgeStatus(
        up=True,
        log_id=status["log_id"],
        acknowledged=counters.get("acknowledged_events"),
        stored=counters.get("stored_events"),
        duplicates=counters.get("deduplicated_events"),
        dropped=status["dropped_events"],
        first_offset=status["first_offset"],
        next_offset=status["next_offset"],
        used_bytes=status["used_bytes"],
        max_bytes=status["max_bytes"],
        consumers={name: status["next_offset"] - held["committed"] for name, held in status["consumers"].items()},
        next_offsets={status["log_id"]: status["next_offset"]},
    )


def combined(bridges: Sequence[BridgeStatus]) -> BridgeStatus:
    """Add up the counters of several bridges. A counter that one of them lacks is not known of all of them."""
    if len(bridges) == 1:
        return bridges[0]

    def added(name: str) -> int | None:
        numbers = [getattr(each, name) for each in bridges]
        return None if None in numbers else sum(numbers)

    consumers = {name for each in bridges for name in each.consumers}
    return BridgeStatus(
        up=bool(bridges) and all(each.up for each in bridges),
        log_id=",".join(each.log_id for each in bridges),
        consumers={name: sum(each.consumers.get(name, 0) for each in bridges) for name in sorted(consumers)},
        next_offsets={log_id: end for each in bridges for log_id, end in each.next_offsets.items()},
        acknowledged=added("acknowledged"),
        stored=added("stored"),
        duplicates=added("duplicates"),
        dropped=added("dropped"),
        first_offset=added("first_offset"),
        next_offset=added("next_offset"),
        used_bytes=added("used_bytes"),
        max_bytes=added("max_bytes"),
    )


def fetch_json(url: str) -> dict[str, Any] | None:
    """Return the JSON object at ``url``; None if nothing answers in time."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as answer:  # noqa: S310 - always http, to a stage
            value = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return value if isinstance(value, dict) else None


def _is_ready(record: StageRecord | None) -> bool:
    return record is not None and record.state == "ready"
