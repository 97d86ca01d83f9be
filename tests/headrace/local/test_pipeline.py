"""The pipeline: when everything is shipped, and what is cleaned up before and after a run."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from headrace.errors import UsageError
from headrace.local.child_process import ChildProcess
from headrace.local.orphan_guard import RUN_VARIABLE, STATE_VARIABLE
from headrace.local.pipeline import Pipeline, is_shipped, started, uncounted
from headrace.local.run_options import parse_options
from headrace.state_folder import StateFolder
from headrace.status import AgentStatus, BridgeStatus
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

AGENT = AgentStatus(up=True, spool_files=0, spool_bytes=0, read=100, channel=0, sent=100)


@pytest.mark.parametrize(
    ("agent", "shipped"),
    [
        (AGENT, True),
        (replace(AGENT, spool_files=1), False),
        (replace(AGENT, channel=1), False),
        (replace(AGENT, sent=99), False),
        # After its restart the agent sends what a file channel had kept.
        (replace(AGENT, sent=150), True),
        (replace(AGENT, read=None, sent=None, channel=None), False),
    ],
)
def test_all_is_shipped_only_when_nothing_can_be_on_its_way(agent: AgentStatus, shipped: bool) -> None:  # noqa: FBT001
    assert is_shipped(agent) is shipped


BRIDGE = BridgeStatus(up=True, log_id="L", next_offset=100)
PROGRESS = {"state": "stopped", "positions": {"L": 60}}


@pytest.mark.parametrize(
    ("in_channel", "bridge", "progress", "number"),
    [
        (7, BRIDGE, PROGRESS, 47),
        (0, BRIDGE, {"positions": {"L": 100}}, 0),
        # Nothing was stored, so it does not matter what the job says.
        (0, replace(BRIDGE, next_offset=0), None, 0),
        (None, BRIDGE, PROGRESS, None),
        (0, BridgeStatus(up=False), PROGRESS, None),
        (0, BRIDGE, {"state": "failed", "error": "no room"}, None),
        (0, BRIDGE, {"positions": {"M": 100}}, None),
        (0, BRIDGE, None, None),
    ],
)
def test_what_waits_for_the_next_start_is_known_only_if_all_stages_say_it(
    in_channel: int | None, bridge: BridgeStatus, progress: dict[str, object] | None, number: int | None
) -> None:
    assert uncounted(in_channel, bridge, progress) == number


def test_a_memory_channel_is_refused_where_a_file_channel_may_hold_lines(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    (state.agent / "channel").mkdir()
    options = parse_options(channel="memory")
    with (
        pytest.raises(UsageError, match="may hold lines of an earlier run"),
        started(state, options, [], lambda _: None, wake=threading.Event()),
    ):
        pass


def test_what_an_earlier_run_left_is_ended_and_the_variables_of_a_run_end_with_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.create()
    environment = {**os.environ, STATE_VARIABLE: str(state.root)}
    orphan = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", environment)
    # For a moment after its start a process shows no environment yet; what an earlier run left is older than that.
    wait_until(lambda: STATE_VARIABLE in psutil.Process(orphan.pid).environ(), 30, "the environment of the process")
    said: list[str] = []
    with started(state, parse_options(), [], said.append, wake=threading.Event()) as pipeline:
        assert isinstance(pipeline, Pipeline)
        assert os.environ[STATE_VARIABLE] == str(state.root)
        assert os.environ[RUN_VARIABLE]
        assert not psutil.pid_exists(orphan.pid) or psutil.Process(orphan.pid).status() == psutil.STATUS_ZOMBIE
        pipeline.record()
        assert {name: each.state for name, each in (state.read_run() or pytest.fail("no record")).stages.items()} == {
            "agent": "waiting",
            "bridge": "waiting",
            "job": "waiting",
        }
    assert RUN_VARIABLE not in os.environ
    assert said == ["ended 1 processes that an earlier run of this folder left behind"]
    orphan.end(0)


def test_a_stop_is_recorded_with_the_job_and_the_stages_that_did_not_work(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    with started(state, parse_options(), [], lambda _: None, wake=threading.Event()) as pipeline:
        pipeline.record()
        assert (state.read_run() or pytest.fail("no record")).stopped == ""
        slot = pipeline.supervisor.slots["job"]
        slot.state, slot.last_failure = "refused", "ended with exit code 2"
        pipeline.stop(lambda: True)
    run = state.read_run() or pytest.fail("no record")
    assert (run.job, run.failed, run.lost, run.uncounted) == ("url-counts", ["job"], 0, None)
    assert run.stages["job"].last_fault == "ended with exit code 2"
    assert run.stopped >= run.started


def test_finished_files_stay_while_the_agent_does_not_answer(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    (state.spool / "a.log.COMPLETED").write_text("one\n")
    with started(state, parse_options(), [], lambda _: None, wake=threading.Event()) as pipeline:
        assert pipeline.remove_completed() == 0
        assert pipeline.agent_status() == AgentStatus(up=False, spool_files=0, spool_bytes=0)
        assert not pipeline.bridge_status().up
    assert (state.spool / "a.log.COMPLETED").exists()
