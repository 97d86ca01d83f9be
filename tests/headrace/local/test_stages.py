"""What the stages tell the supervisor, with small programs in the place of the real ones."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import UsageError
from headrace.local.child_process import ChildProcess
from headrace.local.pipeline import started
from headrace.local.run_options import parse_options
from headrace.local.stage_output import exit_failure, last_message
from headrace.local.stages import BridgeStage, JobStage, job_command
from headrace.state_folder import StateFolder
from tests.support.waiting import wait_until

SAYS_AND_ENDS = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(int(sys.argv[2]))"


def ended(tmp_path: Path, said: str, code: int) -> ChildProcess:
    child = ChildProcess([sys.executable, "-c", SAYS_AND_ENDS, said, str(code)], tmp_path / "stage.log", os.environ)
    assert child.wait(30)
    return child


@pytest.mark.parametrize(
    ("said", "code", "failure", "final"),
    [
        ("warming up\nerror: no room\n", 1, "ended with exit code 1: error: no room", False),
        ("avro_bridge: bridge.toml: log.folder: unknown key\n", 2, "refused its configuration: avro_bridge: ", True),
        (
            '{"level": "error", "msg": "log damaged"}\n{"level": "info", "msg": "bye"}\n',
            1,
            "code 1: log damaged",
            False,
        ),
        ("", 0, "ended with exit code 0", False),
        ("\x1b]0;evil\x07\n", 1, "\N{REPLACEMENT CHARACTER}]0;evil", False),
    ],
)
def test_a_death_is_told_with_its_cause(tmp_path: Path, said: str, code: int, failure: str, final: bool) -> None:  # noqa: FBT001
    child = ended(tmp_path, said, code)
    told = exit_failure(child)
    child.end(0)
    assert told is not None
    assert failure in told.text
    assert told.final is final


def test_a_living_process_has_no_fault_and_a_killed_one_names_the_signal(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", os.environ)
    assert exit_failure(child) is None
    child.signal(signal.SIGKILL)
    assert child.wait(30)
    told = exit_failure(child)
    child.end(0)
    assert told is not None
    assert told.text == "was killed by signal 9"


@given(st.lists(st.text(max_size=400), max_size=5))
def test_last_words_are_one_harmless_bounded_line(lines: list[str]) -> None:
    words = last_message(lines)
    assert len(words) <= 300
    assert "\n" not in words
    assert "\x1b" not in words


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
        watermark="0s",
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
        "--watermark=0s",
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


def test_a_job_has_finished_only_when_it_was_to_drain_and_left_its_sum(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    bridge = BridgeStage(state, os.environ)
    bridge.ports = {"flight": 1}
    job = JobStage(state, parse_options(), bridge, {**os.environ, "PYTHONPATH": "", "PATH": "/nonexistent"})
    job.start()
    wait_until(lambda: job.exit_code() is not None, 120, "a job without Java to end")
    seen = [(job.finished, job.failure() is None)]
    job.drain_to({"L": 0})
    seen.append((job.finished, job.failure() is None))
    (state.job / "tally.json").write_text("{}")
    seen.append((job.finished, job.failure() is None))
    assert seen == [(False, False), (False, False), (True, True)]
    job.stop(0)


def test_a_memory_channel_is_refused_where_a_file_channel_may_hold_lines(tmp_path: Path) -> None:
    import threading

    state = StateFolder(tmp_path)
    state.create()
    (state.agent / "channel").mkdir()
    options = parse_options(channel="memory")
    with (
        pytest.raises(UsageError, match="may hold lines of an earlier run"),
        started(state, options, [], lambda _: None, wake=threading.Event()),
    ):
        pass


def test_sinks_reach_the_job_as_absolute_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = parse_options(out=Path("counts.jsonl"))
    assert [sink.path for sink in options.settings.sinks] == [tmp_path / "counts.jsonl"]
