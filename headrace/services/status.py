"""The command ``status``: the status of every stage, and the sums, read over the project's networks.

It runs in the driver's container, the only one that reaches every stage: agent and bridges over the network, the job by
its folder, the spool folder by a read-only mount.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from headrace.cli.output import show_snapshot
from headrace.common.bridge_defaults import ADMIN_PORT
from headrace.job_status import URL_COUNTS, job_status
from headrace.services import health
from headrace.services.environment import AGENT_HOST, AGENT_METRICS_PORT, bridges
from headrace.status import Snapshot, agent_status_at, bridge_status_at, combined

SPOOL = Path("/spool")


def snapshot() -> Snapshot:
    """Read the status of every stage, from the job back to the agent.

    In this order, lines that move on meanwhile can only make an upstream count too large, never a downstream one.
    """
    now = datetime.now(UTC)
    problem = health.driver()
    job = job_status(health.PROGRESS, URL_COUNTS, up=problem is None, now=now)
    bridge = combined([bridge_status_at(f"http://{host}:{ADMIN_PORT}") for host in bridges()])
    agent = agent_status_at(f"http://{AGENT_HOST}:{AGENT_METRICS_PORT}", SPOOL)
    return Snapshot(agent, bridge, job, {} if problem is None else {"job": f"unhealthy: {problem}"})


def show(*, as_json: bool) -> int:
    """Print the status; return the exit code."""
    return show_snapshot(snapshot(), "containers", as_json=as_json)
