"""The sums between the stages' counters: which hold, which are broken, and which cannot be told."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from headrace.job_status import JobStatus
from headrace.run_end import RunEnd
from headrace.state_folder import RunRecord, StageRecord, StateFolder
from headrace.status import AgentStatus, BridgeStatus, Snapshot, combined, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AGENT = AgentStatus(up=True, spool_files=0, spool_bytes=0, read=100, channel=0, sent=100)
BRIDGE = BridgeStatus(
    up=True,
    log_id="L",
    acknowledged=110,
    stored=100,
    duplicates=10,
    first_offset=0,
    next_offset=100,
    dropped=0,
    next_offsets={"L": 100},
)
JOB = JobStatus(up=True, read=80, lost=0, counted=70, malformed=6, late=4, positions={"L": 80})


def differences(snapshot: Snapshot) -> list[int | None]:
    return [each.difference for each in snapshot.sums()]


def test_the_sums_hold_while_lines_are_under_way() -> None:
    snapshot = Snapshot(AGENT, BRIDGE, JOB)
    assert differences(snapshot) == [0, 0, 0]
    assert snapshot.problems() == []
    waiting = {name: number for name, number, _ in snapshot.sums()[1].right}["waiting"]
    assert waiting == 20


def test_several_bridges_are_added_up_and_each_log_has_its_own_position() -> None:
    other = replace(BRIDGE, log_id="M", acknowledged=50, stored=50, duplicates=0)
    other = replace(other, next_offset=50, next_offsets={"M": 50})
    both = combined([BRIDGE, other])
    job = replace(JOB, read=90, counted=80, positions={"L": 80, "M": 10})
    assert (both.acknowledged, both.stored, both.log_id) == (160, 150, "L,M")
    assert differences(Snapshot(AGENT, both, job)) == [0, 0, 0]
    assert combined([BRIDGE]) is BRIDGE


def test_of_several_bridges_a_silent_one_leaves_the_sum_unknown() -> None:
    both = combined([BRIDGE, BridgeStatus(up=False)])
    assert not both.up
    assert both.stored is None
    assert differences(Snapshot(AGENT, both, JOB))[:2] == [None, None]


@pytest.mark.parametrize(
    ("bridge", "job", "broken"),
    [
        (replace(BRIDGE, acknowledged=111), JOB, [1, 0, 0]),
        (replace(BRIDGE, stored=101), JOB, [-1, 1, 0]),
        (BRIDGE, replace(JOB, read=79), [0, 1, -1]),
        (BRIDGE, replace(JOB, late=3), [0, 0, 1]),
        (BRIDGE, replace(JOB, too_old=3), [0, 0, -3]),
        (BRIDGE, replace(JOB, lost=1), [0, -1, 0]),
    ],
)
def test_a_line_that_is_missing_anywhere_breaks_a_sum(bridge: BridgeStatus, job: JobStatus, broken: list[int]) -> None:
    snapshot = Snapshot(AGENT, bridge, job)
    assert differences(snapshot) == broken
    # More stored than acknowledged is what a lost OK looks like; everything else is a problem.
    expected = sum(bool(n) for n in broken) - (broken[0] < 0)
    assert len(snapshot.problems()) == expected


def test_an_ok_that_may_be_lost_is_explained_and_is_no_problem() -> None:
    snapshot = Snapshot(AGENT, replace(BRIDGE, acknowledged=105), JOB)
    assert snapshot.sums()[0].difference == -5
    assert "Flume would send it again" in snapshot.sums()[0].note
    assert snapshot.problems() == []


def test_without_an_answer_a_sum_is_neither_true_nor_false() -> None:
    snapshot = Snapshot(AGENT, BridgeStatus(up=False), JobStatus(up=False))
    assert differences(snapshot) == [None, None, None]
    assert snapshot.problems() == ["the bridge is down", "the job is down"]


def test_a_stage_that_is_on_its_way_up_is_called_so() -> None:
    snapshot = Snapshot(AGENT, BRIDGE, replace(JOB, up=False), {"agent": "ready", "bridge": "ready", "job": "starting"})
    assert snapshot.problems() == ["the job is starting"]


def test_after_a_stop_in_order_no_stage_is_missed() -> None:
    at_rest = Snapshot(
        AgentStatus(up=False, spool_files=0, spool_bytes=0),
        BridgeStatus(up=False),
        replace(JOB, up=False),
        end=RunEnd("2026-01-02T03:00:00Z", "2026-01-02T03:04:05Z", 0),
    )
    assert [at_rest.state_of(name) for name in ("agent", "bridge", "job")] == ["stopped"] * 3
    assert at_rest.problems() == []
    killed = replace(at_rest, end=RunEnd("2026-01-02T03:00:00Z"))
    assert killed.problems() == [
        "the run that began at 2026-01-02T03:00:00Z was killed; the next start goes on where it was",
        "the agent is down",
        "the bridge is down",
        "the job is down",
    ]
    # A sum that does not hold stays a problem after the stop.
    broken = replace(at_rest, job=replace(JOB, up=False, counted=60))
    assert broken.problems() == ["read differs by +10 from the sum of its parts"]


def test_a_source_that_gave_up_is_a_problem() -> None:
    snapshot = Snapshot(replace(AGENT, source_dead=True), BRIDGE, JOB)
    assert snapshot.problems() == ["the agent's source gave up on a file and reads no more"]


PAGES = {
    "/status": {
        "log_id": "L",
        "first_offset": 5,
        "next_offset": 100,
        "used_bytes": 10,
        "max_bytes": 20,
        "dropped_events": 0,
        "consumers": {"url-counts": {"start": 0, "committed": 60}},
        "counters": {"acknowledged_events": 100, "stored_events": 100, "deduplicated_events": 0},
    },
    "/metrics": {
        "SOURCE.spool": {"EventAcceptedCount": "100", "EventReadFail": "0"},
        "CHANNEL.queue": {"ChannelSize": "7", "ChannelFillPercentage": "0.7"},
        "SINK.bridge0_0": {"EventDrainSuccessCount": "93", "EventWriteFail": "2"},
    },
}


@pytest.fixture
def pages_port() -> Iterator[int]:
    """Serve what the bridge and the agent would."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(PAGES[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_snapshot_is_read_from_the_stages_of_the_recorded_run(tmp_path: Path, pages_port: int) -> None:
    state = StateFolder(tmp_path)
    state.create()
    run = RunRecord(run_id="r", pid=1, started="", spool=str(state.spool), job="sessions")
    run.stages["agent"] = StageRecord("ready", 1, ports={"metrics": pages_port})
    run.stages["bridge"] = StageRecord("ready", 1, ports={"admin": pages_port})
    run.stages["job"] = StageRecord("ready", 1)
    state.write_run(run)
    for name, size in (("a.log", 3), ("b.log", 4), (".part", 5), ("c.log.COMPLETED", 6)):
        (state.spool / name).write_bytes(b"x" * size)
    tally = {"read": 60, "lost": 0, "counted": 58, "malformed": 1, "late": 1, "hits": 58}
    progress = {"state": "running", "batch_at": "2026-01-02T03:04:00Z", "tally": tally, "positions": {"L": 60}}
    (state.job / "progress.json").write_text(json.dumps(progress))
    with state.lock():
        snapshot = take_snapshot(state, NOW)
    assert (snapshot.agent.spool_files, snapshot.agent.spool_bytes) == (2, 7)
    assert (snapshot.agent.read, snapshot.agent.channel, snapshot.agent.sent) == (100, 7, 93)
    assert snapshot.bridge.consumers == {"url-counts": 40}
    assert snapshot.job.batch_age_s == 5.0
    assert (snapshot.job.name, snapshot.end) == ("sessions", None)
    assert differences(snapshot) == [0, 0, 0]
    assert snapshot.problems() == []


def test_a_run_that_is_gone_leaves_the_jobs_own_account(tmp_path: Path, pages_port: int) -> None:
    state = StateFolder(tmp_path)
    state.create()
    run = RunRecord(run_id="r", pid=1, started="", spool=str(state.spool))
    run.stages["bridge"] = StageRecord("ready", 1, ports={"admin": pages_port})
    state.write_run(run)
    (state.job / "progress.json").write_text('{"state": "stopped", "tally": {"read": 60}}')
    snapshot = take_snapshot(state, NOW)
    assert not snapshot.bridge.up
    assert snapshot.job.read == 60
    assert snapshot.end == RunEnd("")
    run.stopped, run.uncounted, run.failed = "2026-01-02T03:04:05Z", 4, ["bridge"]
    run.stages["bridge"].last_fault = "ended with exit code 1"
    state.write_run(run)
    assert take_snapshot(state, NOW).end == RunEnd(
        "", "2026-01-02T03:04:05Z", 4, failed={"bridge": "ended with exit code 1"}
    )


def test_a_folder_without_a_run_has_no_end(tmp_path: Path) -> None:
    snapshot = take_snapshot(StateFolder(tmp_path), NOW)
    assert snapshot.end is None
    assert len(snapshot.problems()) == 3
