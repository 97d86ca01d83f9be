"""What the stages tell the supervisor, with small programs in the place of the real ones."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from headrace.errors import StageFailed
from headrace.local.run_options import parse_options
from headrace.local.stages import BridgeStage, JobStage, job_command
from headrace.state_folder import StateFolder
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.errors import StageError


def test_an_announcement_of_an_earlier_bridge_does_not_count(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    stage = BridgeStage(state, {**os.environ})
    stage.start()
    announced = {"avro_port": 1, "flight_port": 2, "admin_port": 3, "log_id": "L", "pid": (stage.pid or 0) + 1}
    try:
        (state.bridge / "ready.json").write_text(json.dumps(announced))
        assert not stage.is_ready()
        wait_until(stage.is_ready, 120, "the bridge to be ready")
        ports = dict(stage.ports)
        assert set(ports) == {"avro", "flight", "admin"}
        # The agent and the job were told these ports.
        stage.kill()
        stage.start()
        wait_until(stage.is_ready, 120, "the bridge to be ready again")
        assert stage.ports == ports
    finally:
        stage.stop()
    assert stage.failure() is not None


def test_the_job_is_told_every_option(tmp_path: Path) -> None:
    options = parse_options(
        window="1h30m",
        slide="30m",
        keep="400d",
        max_rows="0",
        trigger="250ms",
        time="arrival",
        log_format='%h %t "%r" %>s',
        url="template",
        timezone="Asia/Kolkata",
        top="3",
        max_events="7",
        sinks=["console", f"parquet:{tmp_path / 'counts'}"],
    )
    command = job_command(options, 4142, tmp_path / "job", tmp_path / "drain.json")
    assert command[1:4] == ["-m", "spark_job", "url-counts"]
    assert set(command[4:]) == {
        "--bridges=127.0.0.1:4142",
        f"--job-folder={tmp_path / 'job'}",
        f"--drain-to-file={tmp_path / 'drain.json'}",
        "--window=1h30m",
        "--slide=30m",
        "--keep=400d",
        "--max-rows=0",
        "--trigger=250ms",
        "--time=arrival",
        '--format=%h %t "%r" %>s',
        "--url=template",
        "--timezone=Asia/Kolkata",
        "--top=3",
        "--max-events=7",
        "--consumer=url-counts",
        "--sink=console",
        f"--sink=parquet:{tmp_path / 'counts'}",
    }


def test_the_job_takes_every_option_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spark_job.cli import main

    command = job_command(parse_options(), 4142, tmp_path / "job", tmp_path / "drain.json")
    assert main([*command[3:], "--top=0"]) == 2
    # The one failure is that of the value, so every name before it was known.
    said = capsys.readouterr().err
    assert "--top" in said
    assert "No such option" not in said
    assert not (tmp_path / "job").exists()


def ended_job(folder: Path) -> tuple[StateFolder, JobStage]:
    """Return a job that has failed at its start."""
    state = StateFolder(folder)
    state.create()
    bridge = BridgeStage(state, os.environ)
    bridge.ports = {"flight": 1}
    job = JobStage(state, parse_options(), bridge, {**os.environ, "PYTHONPATH": "", "PATH": "/nonexistent"})
    job.start()
    wait_until(lambda: job.exit_code() is not None, 120, "a job without Java to end")
    return state, job


@pytest.mark.parametrize(("retry", "final"), [(False, StageFailed), (True, None), (None, None)])
def test_a_job_that_no_restart_can_help_says_so(
    tmp_path: Path,
    retry: bool | None,  # noqa: FBT001 - a table
    final: type[StageError] | None,
) -> None:
    state, job = ended_job(tmp_path)
    fields = {"pid": job.pid, "state": "failed"} | ({} if retry is None else {"retry": retry})
    (state.job / "progress.json").write_text(json.dumps(fields))
    failure = job.failure()
    assert failure is not None
    assert failure.final is final
    # What an earlier process wrote says nothing about this one.
    (state.job / "progress.json").write_text(json.dumps(fields | {"pid": 0}))
    failure = job.failure()
    assert failure is not None
    assert failure.final is None
    job.stop(0)


def test_a_job_has_finished_only_when_it_was_to_drain_and_left_its_sum(tmp_path: Path) -> None:
    state, job = ended_job(tmp_path)
    seen = [(job.finished, job.failure() is None)]
    job.drain_to({"L": 0})
    seen.append((job.finished, job.failure() is None))
    (state.job / "tally.json").write_text("{}")
    seen.append((job.finished, job.failure() is None))
    assert seen == [(False, False), (False, False), (True, True)]
    job.stop(0)
