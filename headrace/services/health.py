"""Health checks of the containers: each prints one sentence and exits with 0 (healthy) or 1.

=============  =====================================================================================================
service        is healthy if
=============  =====================================================================================================
agent          Flume's metrics page shows every configured component, the channel is open and the source reads
bridge         its page ``/readyz`` answers ok: it listens, and the log is writable and below its cap
spark-master   it is ALIVE and has at least one worker that is ALIVE
spark-worker   the master lists this worker as ALIVE; a worker without a master is useless
driver         the job watches its query, and waiting lines are being counted
history        it lists applications
=============  =====================================================================================================

A running process or an open port proves none of these. The checks use the standard library only, because they run every
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

from headrace.common.bridge_defaults import ADMIN_PORT
from headrace.services.environment import AGENT_METRICS_PORT, HISTORY_PORT, MASTER_HOST, MASTER_UI_PORT, WORKER_UI_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMEOUT_S = 4.0
HEARTBEAT_S = 15.0
"""The job writes its progress every second; on a very busy machine it may be late."""

STANDSTILL_S = 60.0
"""Lines wait, and no micro-batch has ended for so long: many triggers, but less than the job's own --stall-after."""

PROGRESS = Path("/data/job/progress.json")
COMPONENTS = Path("/tmp/agent/components")  # noqa: S108 - a tmpfs of this container alone
STARTED = Path("/tmp/spark-conf/spark-defaults.conf")  # noqa: S108 - a tmpfs of this container alone
"""Written when the container starts: an older progress file is of an earlier process."""
WAITING_SINCE = Path("/tmp/driver-waits-since")  # noqa: S108 - a tmpfs of this container alone


def agent() -> str | None:
    """Return the problem of the agent, or None."""
    try:
        expected = COMPONENTS.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return "Flume is starting"
    page = _get_json(f"http://127.0.0.1:{AGENT_METRICS_PORT}/metrics")
    return agent_problem(expected, page)


def agent_problem(expected: list[str], page: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return the problem that Flume's metrics page shows, if any."""
    missing = [name for name in expected if name not in page]
    if missing:
        return f"not running: {', '.join(missing)}"
    for name, fields in page.items():
        if name.startswith("CHANNEL.") and fields.get("Unhealthy", "0") != "0":
            return f"{name} is not open"
        if name.startswith("SOURCE.") and fields.get("EventReadFail", "0") != "0":
            return f"{name} has given up on a file; the agent's log names it"
    return None


def bridge() -> str | None:
    """Return the problem of the bridge, or None."""
    answer = _get(f"http://127.0.0.1:{ADMIN_PORT}/readyz")
    return None if answer == "ok" else answer


def spark_master() -> str | None:
    """Return the problem of the master, or None."""
    return master_problem(_get_json(f"http://127.0.0.1:{MASTER_UI_PORT}/json/"))


def master_problem(page: Mapping[str, Any]) -> str | None:
    """Return the problem that the master's page shows, if any."""
    if page.get("status") != "ALIVE":
        return f"the master is {page.get('status')}"
    return None if page.get("aliveworkers", 0) >= 1 else "no worker is alive"


def spark_worker() -> str | None:
    """Return the problem of this worker, or None."""
    own = _get_json(f"http://127.0.0.1:{WORKER_UI_PORT}/json/")
    master = _get_json(f"http://{MASTER_HOST}:{MASTER_UI_PORT}/json/")
    return worker_problem(str(own.get("id")), master)


def worker_problem(worker_id: str, master_page: Mapping[str, Any]) -> str | None:
    """Return the problem with a worker that the master's page shows, if any."""
    for each in master_page.get("workers", []):
        if each.get("id") == worker_id:
            state = str(each.get("state"))
            return None if state == "ALIVE" else f"the master lists this worker as {state}"
    return "the master does not list this worker"


def driver() -> str | None:
    """Return the problem of the job, or None."""
    try:
        if PROGRESS.stat().st_mtime < STARTED.stat().st_mtime:
            return "the job is starting"
        progress = json.loads(PROGRESS.read_bytes())
    except FileNotFoundError:
        return "the job is starting"
    waits_s = _waits_for(progress)
    return driver_problem(progress, datetime.now(UTC), waits_s)


def driver_problem(progress: Mapping[str, Any], now: datetime, waits_s: float) -> str | None:
    """Judge the job's own account; ``waits_s`` is for how long lines have waited without a batch."""
    state = progress.get("state")
    if state == "failed":
        return f"the job has failed: {progress.get('error')}"
    if state not in ("running", "draining"):
        return f"the job is {state}"
    silent_s = (now - datetime.fromisoformat(progress["checked_at"])).total_seconds()
    if silent_s > HEARTBEAT_S:
        return f"the job has not written its progress for {silent_s:.0f} s"
    if waits_s > STANDSTILL_S:
        return f"{progress.get('waiting')} lines wait, and no micro-batch has ended for {waits_s:.0f} s"
    return None


def _waits_for(progress: Mapping[str, Any]) -> float:
    """Return how long lines have waited while the micro-batch stayed the same; a file keeps the time between checks."""
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
    """Return the problem of the history server, or None."""
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
    """Print the health of a service; return the exit code."""
    try:
        problem = CHECKS[service]()
    except (OSError, ValueError, KeyError) as error:
        problem = f"does not answer: {error}"
    print(problem or "ok")  # noqa: T201 - the container engine keeps the output of a check
    return 1 if problem else 0


def _get(url: str) -> str:
    """Return the page at ``url``; also the page of an error such as 503, which says what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - always http inside the project
            return str(answer.read().decode("utf-8", "replace").strip())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return str(refusal.read(500).decode("utf-8", "replace").strip()) or str(refusal)


def _get_json(url: str) -> dict[str, Any]:
    value = json.loads(_get(url))
    if not isinstance(value, dict):
        raise ValueError(f"{url} is not a JSON object")  # noqa: TRY004 - the page is wrong, not our argument
    return value
