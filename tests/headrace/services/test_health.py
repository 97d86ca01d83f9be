"""Health checks judge what the services say, and name what is wrong."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headrace.services import health
from headrace.services.health import agent_problem, driver_problem, master_problem, worker_problem

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUNNING = {"state": "running", "checked_at": NOW.isoformat(), "waiting": 0, "batch_id": 3, "pid": 7}
EXPECTED = ["SOURCE.spool", "CHANNEL.queue", "SINK.bridge0_0"]
PAGE: dict[str, dict[str, str]] = {"SOURCE.spool": {}, "CHANNEL.queue": {"Unhealthy": "0"}, "SINK.bridge0_0": {}}


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (PAGE, None),
        ({}, "not running: SOURCE.spool, CHANNEL.queue, SINK.bridge0_0"),
        (PAGE | {"CHANNEL.queue": {"Unhealthy": "1"}}, "CHANNEL.queue is not open"),
        (
            PAGE | {"SOURCE.spool": {"EventReadFail": "1"}},
            "SOURCE.spool has given up on a file; the agent's log names it",
        ),
        (PAGE | {"SOURCE.spool": {"GenericProcessingFail": "2"}}, None),
    ],
)
def test_the_agent_is_judged_by_its_components(page: dict[str, dict[str, str]], problem: str | None) -> None:
    assert agent_problem(EXPECTED, page) == problem


def test_the_master_needs_a_living_worker() -> None:
    assert master_problem({"status": "ALIVE", "aliveworkers": 1}) is None
    assert master_problem({"status": "ALIVE", "aliveworkers": 0}) == "no worker is alive"
    assert master_problem({"status": "RECOVERING", "aliveworkers": 1}) == "the master is RECOVERING"


def test_a_worker_must_be_one_of_the_masters() -> None:
    page = {"workers": [{"id": "a", "state": "DEAD"}, {"id": "b", "state": "ALIVE"}]}
    assert worker_problem("b", page) is None
    assert worker_problem("a", page) == "the master lists this worker as DEAD"
    assert worker_problem("c", page) == "the master does not list this worker"


@pytest.mark.parametrize(
    ("progress", "waits_s", "problem"),
    [
        (RUNNING, 0.0, None),
        (RUNNING | {"waiting": 5}, 59.0, None),
        (RUNNING | {"waiting": 5}, 61.0, "5 lines wait, and no micro-batch has ended for 61 s"),
        (RUNNING | {"state": "starting"}, 0.0, "the job is starting"),
        (RUNNING | {"state": "failed", "error": "why"}, 0.0, "the job has failed: why"),
        (
            RUNNING | {"checked_at": (NOW - timedelta(seconds=16)).isoformat()},
            0.0,
            "the job has not written its progress for 16 s",
        ),
    ],
)
def test_the_job_is_judged_by_what_it_does_not_by_its_process(
    progress: dict[str, Any], waits_s: float, problem: str | None
) -> None:
    assert driver_problem(progress, NOW, waits_s) == problem


def test_what_an_earlier_process_of_the_job_has_left_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, started = tmp_path / "progress.json", tmp_path / "started"
    monkeypatch.setattr(health, "PROGRESS", progress)
    monkeypatch.setattr(health, "STARTED", started)
    started.touch()
    assert health.driver() == "the job is starting"
    progress.write_text("{}")
    os.utime(progress, (1, 1))
    assert health.driver() == "the job is starting"


def test_what_does_not_answer_is_a_fault_and_not_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses() -> str | None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setitem(health.CHECKS, "bridge", refuses)
    assert health.check("bridge") == 1
    assert capsys.readouterr().out == "does not answer: refused\n"
    monkeypatch.setitem(health.CHECKS, "bridge", lambda: None)
    assert health.check("bridge") == 0
