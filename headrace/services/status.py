"""``status`` from inside: every stage with its figures and the sums, asked over the project's own networks.

It runs in the driver's container, the only one that reaches all of them: agent and bridges by their names, the job by
its folder, the spool folder by a read-only mount.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from headrace.cli.output import show_snapshot
from headrace.services import health
from headrace.services.environment import ADMIN_PORT, AGENT_HOST, AGENT_METRICS_PORT, bridges
from headrace.status import Snapshot, agent_status_at, bridge_status_at, combined, job_status


def snapshot() -> Snapshot:
    """Ask every stage, from the job back to the agent, so that what moves meanwhile only adds on the left."""
    now = datetime.now(UTC)
    fault = health.driver()
    job = job_status(health.PROGRESS, up=fault is None, now=now)
    bridge = combined([bridge_status_at(f"http://{host}:{ADMIN_PORT}") for host in bridges()])
    agent = agent_status_at(f"http://{AGENT_HOST}:{AGENT_METRICS_PORT}", Path("/spool"))
    return Snapshot(agent, bridge, job, {} if fault is None else {"job": fault})


def show(*, as_json: bool) -> int:
    """Print it; return the exit code."""
    return show_snapshot(snapshot(), "containers", as_json=as_json)
