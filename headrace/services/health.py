"""Health checks that say something: each prints one sentence and ends with 0 (healthy) or 1.

=============  =====================================================================================================
agent          every component of the configuration is on Flume's metrics page, the channel is open, the source reads
bridge         its own ``/readyz``: listening, the log writable and below its cap
spark-master   ALIVE, and at least one worker is
spark-worker   the master counts this worker as ALIVE; a worker that has lost its master is of no use
driver         the job looks after its query, and lines that wait are being counted
history        it lists applications
=============  =====================================================================================================

A process that lives and a port that is open prove none of these. Only the standard library is used: a check runs every
few seconds.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.services.environment import (
    ADMIN_PORT,
    AGENT_METRICS_PORT,
    HISTORY_PORT,
    MASTER_HOST,
    MASTER_UI_PORT,
    WORKER_UI_PORT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMEOUT_S = 4.0
HEARTBEAT_S = 15.0
"""The job writes its progress every second, but not while the whole machine is too busy."""

STANDSTILL_S = 60.0
"""Lines wait, and no batch has ended for so long: many triggers, and less than the job's own patience."""

PROGRESS = Path("/data/job/progress.json")
COMPONENTS = Path("/tmp/agent/components")  # noqa: S108 - a tmpfs of this container alone
STARTED = Path("/tmp/spark-conf/spark-defaults.conf")  # noqa: S108 - a tmpfs of this container alone
"""Written when the container starts: what the progress file says from before is another process's."""
WAITING_SINCE = Path("/tmp/driver-waits-since")  # noqa: S108 - a tmpfs of this container alone


def agent() -> str | None:
    """Return what is wrong with the agent, None when nothing is."""
    try:
        expected = COMPONENTS.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return "Flume is starting"
    page = _get_json(f"http://127.0.0.1:{AGENT_METRICS_PORT}/metrics")
    return agent_fault(expected, page)


def agent_fault(expected: list[str], page: Mapping[str, Mapping[str, str]]) -> str | None:
    """Judge Flume's metrics page."""
    missing = [name for name in expected if name not in page]
    if missing:
        return f"not at work: {', '.join(missing)}"
    for name, fields in page.items():
        if name.startswith("CHANNEL.") and fields.get("Unhealthy", "0") != "0":
            return f"{name} is not open"
        if name.startswith("SOURCE.") and fields.get("EventReadFail", "0") != "0":
            return f"{name} has given up on a file"
    return None


def bridge() -> str | None:
    """Return what is wrong with the bridge, None when nothing is."""
    answer = _get(f"http://127.0.0.1:{ADMIN_PORT}/readyz")
    return None if answer == "ok" else answer


def spark_master() -> str | None:
    """Return what is wrong with the master, None when nothing is."""
    return master_fault(_get_json(f"http://127.0.0.1:{MASTER_UI_PORT}/json/"))


def master_fault(page: Mapping[str, Any]) -> str | None:
    """Judge the master's page."""
    if page.get("status") != "ALIVE":
        return f"the master is {page.get('status')}"
    return None if page.get("aliveworkers", 0) >= 1 else "no worker is alive"


def spark_worker() -> str | None:
    """Return what is wrong with this worker, None when nothing is."""
    own = _get_json(f"http://127.0.0.1:{WORKER_UI_PORT}/json/")
    master = _get_json(f"http://{MASTER_HOST}:{MASTER_UI_PORT}/json/")
    return worker_fault(str(own.get("id")), master)


def worker_fault(worker_id: str, master_page: Mapping[str, Any]) -> str | None:
    """Judge what the master says of a worker."""
    for each in master_page.get("workers", []):
        if each.get("id") == worker_id:
            state = str(each.get("state"))
            return None if state == "ALIVE" else f"the master counts this worker as {state}"
    return "the master does not know this worker"


def driver() -> str | None:
    """Return what is wrong with the job, None when nothing is."""
    try:
        if PROGRESS.stat().st_mtime < STARTED.stat().st_mtime:
            return "the job is starting"
        progress = json.loads(PROGRESS.read_bytes())
    except FileNotFoundError:
        return "the job is starting"
    waits_s = _waits_for(progress)
    return driver_fault(progress, datetime.now(UTC), waits_s)


def driver_fault(progress: Mapping[str, Any], now: datetime, waits_s: float) -> str | None:
    """Judge the job's own account; ``waits_s`` is for how long lines have waited without a batch."""
    state = progress.get("state")
    if state == "failed":
        return f"the job has failed: {progress.get('error')}"
    if state not in ("running", "draining"):
        return f"the job is {state}"
    silent_s = (now - datetime.fromisoformat(progress["checked_at"])).total_seconds()
    if silent_s > HEARTBEAT_S:
        return f"the job has not looked after its query for {silent_s:.0f} s"
    if waits_s > STANDSTILL_S:
        return f"{progress.get('waiting')} lines wait, and no batch has ended for {waits_s:.0f} s"
    return None


def _waits_for(progress: Mapping[str, Any]) -> float:
    """Return for how long checks have seen lines wait behind the same batch; a file keeps it between checks."""
    if not progress.get("waiting"):
        WAITING_SINCE.unlink(missing_ok=True)
        return 0.0
    seen = f"{progress.get('pid')} {progress.get('batch_id')}"
    try:
        if WAITING_SINCE.read_text(encoding="ascii") == seen:
            return time.time() - WAITING_SINCE.stat().st_mtime
    except FileNotFoundError:
        pass
    WAITING_SINCE.write_text(seen, encoding="ascii")
    return 0.0


def history() -> str | None:
    """Return what is wrong with the history server, None when nothing is."""
    _get(f"http://127.0.0.1:{HISTORY_PORT}/api/v1/applications")
    return None


CHECKS: dict[str, Callable[[], str | None]] = {
    "agent": agent,
    "bridge": bridge,
    "spark-master": spark_master,
    "spark-worker": spark_worker,
    "driver": driver,
    "history": history,
}


def check(service: str) -> int:
    """Print how a service is; return the exit code."""
    try:
        fault = CHECKS[service]()
    except (OSError, ValueError, KeyError) as error:
        fault = f"does not answer: {error}"
    print(fault or "ok")  # noqa: T201 - the engine keeps what a check prints
    return 1 if fault else 0


def _get(url: str) -> str:
    """Return the page at ``url``, also that of an answer 503, which says what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - always http inside the project
            return str(answer.read().decode("utf-8", "replace").strip())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return str(refusal.read(500).decode("utf-8", "replace").strip()) or str(refusal)


def _get_json(url: str) -> dict[str, Any]:
    value = json.loads(_get(url))
    if not isinstance(value, dict):
        raise ValueError(f"{url} is no JSON object")  # noqa: TRY004 - the page is wrong, not our argument
    return value
