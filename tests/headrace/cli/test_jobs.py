"""The jobs on the command line: a list, a help for each, and refusals before anything is started."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import spark_job.jobs
from headrace.cli.app import app
from headrace.local.run_options import read_run_options
from headrace.local.stages import job_command
from spark_job.jobs.catalog import JOBS, SQL, load
from spark_job.options.command_line import flag_of
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [entry.name for entry in JOBS]
NOT_JOBS = {
    "__init__", "both_apis", "catalog", "options", "pairs", "sql_errors", "visitors",
}  # fmt: skip


def said(*arguments: str) -> str:
    """Return what a command prints, in one line."""
    ended = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert ended.exit_code == 0, ended.output
    return " ".join(ended.output.replace("\u2502", " ").split())


def test_every_module_of_a_job_is_in_the_catalog_and_the_other_way_round() -> None:
    modules = {path.stem for path in (ROOT / "spark_job" / "jobs").glob("*.py")} - NOT_JOBS
    assert modules == {entry.module.rpartition(".")[2] for entry in (*JOBS, SQL)}
    assert spark_job.jobs.__doc__


@pytest.mark.parametrize("name", [*NAMES, SQL.name])
def test_a_job_is_what_its_entry_says(name: str) -> None:
    job = load(name)
    assert job.name == name
    assert import_module(f"spark_job.jobs.{name.replace('-', '_')}").__doc__
    assert [option for option, field in job.options.model_fields.items() if not field.description] == []


def test_the_list_has_every_job_with_its_sentence() -> None:
    ended = CliRunner().invoke(app, ["jobs"], env={"COLUMNS": "400", "NO_COLOR": "1"})
    for entry in JOBS:
        assert entry.name in ended.output
        assert entry.summary in ended.output


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_job_says_what_it_does_reads_and_shows(name: str) -> None:
    shown = said("job", name, "--help")
    entry = next(each for each in JOBS if each.name == name)
    assert entry.summary in shown
    assert f"In Spark's words: {entry.shows}." in shown
    assert f"Example: headrace job {name}" in shown
    flags = [flag_of(option, field) for option, field in load(name).options.model_fields.items()]
    assert [flag.name for flag in flags if not flag.internal and f"--{flag.name} " not in shown] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["job", "sesions"], "no job is called 'sesions'; did you mean 'sessions'?"),
        (["job", "sessions", "--gap", "soon"], "--gap soon: not a length of time"),
        (["job", "sessions", "--once"], "--once needs files"),
        (["job", "sensors", "--silence", "0"], "--silence 0: "),
        (
            ["run", "--watermark", "10m"],
            "--watermark is gone: URL counts have no watermark any more, every line counts",
        ),
        (["demo", "--watermark=10m"], "--watermark is gone: URL counts have no watermark"),
        (["job", "url-counts", "--watermark", "10m"], "To close old windows, see --keep and --max-rows"),
        (["run", "--keep", "0s"], "--keep 0s: must be longer than 0"),
        (["run", "--max-rows", "-1"], "--max-rows -1: "),
        (["job", "actions"], "no objects are named; add --path"),
        (["job", "sensors", "--sink", "parquet:x"], "Parquet files are for url-counts"),
        (["job", "sensors", "--format", "common"], "No such option"),
        (["sql", "SELECT 1 FROM access_log JOIN flume"], "a query can read only one of them"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_started(tmp_path: Path, arguments: list[str], text: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "headrace.cli.app", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_run_offers_what_closes_windows_and_hides_the_watermark() -> None:
    for command in (["run"], ["job", "url-counts"]):
        shown = said(*command, "--help")
        assert "--keep LENGTH" in shown
        assert "--max-rows NUMBER" in shown
        assert "--watermark" not in shown
    shown = said("demo", "--help")
    assert "--watermark" not in shown
    assert "--keep" not in shown
    assert "--watermark LENGTH" in said("job", "sessions", "--help")


def test_a_jobs_options_reach_its_process(tmp_path: Path) -> None:
    job = load("sessions")
    options = read_run_options({"gap": "20m", "watermark": None, "top": "3", "format": None}, "sessions", job.options)
    command = job_command(options, 4142, tmp_path / "job", tmp_path / "drain.json")
    assert command[1:4] == ["-m", "spark_job", "sessions"]
    assert {"--gap=20m", "--top=3", "--bridges=127.0.0.1:4142", "--consumer=sessions"} <= set(command)
    assert options.state.name == "state-sessions"


def once(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace.cli.app", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_takes_files_through_the_whole_pipeline_and_writes_its_final_results(tmp_path: Path) -> None:
    readings = [{"device": "a", "time": second, "value": second / 4} for second in (0, 1, 60)]
    readings.append({"device": "b", "time": 600, "value": 1})
    text = "".join(json.dumps(reading) + "\n" for reading in readings)
    (tmp_path / "readings.jsonl").write_text(f"{text}21.5\n")
    ended = once(tmp_path, "job", "sensors", "--once", "readings.jsonl", "--out", "sensors.jsonl")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "lines read 5 = counted 4 + malformed 1 + late 0\n"
    rows = [json.loads(line) for line in (tmp_path / "sensors.jsonl").read_text().splitlines()]
    assert rows[0] == {
        "device": "a",
        "window_start": "1970-01-01T00:00:00Z",
        "window_end": "1970-01-01T00:01:00Z",
        "readings": 2,
        "minimum": 0.0,
        "maximum": 0.25,
        "mean": 0.125,
        "silent": False,
    }
    assert [(row["device"], row["readings"], row["silent"]) for row in rows[1:]] == [
        ("a", 1, False),
        ("a", 0, True),
        ("b", 1, False),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["readings.jsonl", "sensors.jsonl"]


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_query_that_cannot_be_answered_ends_with_one_sentence_and_its_place(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("nothing\n")
    ended = once(tmp_path, "sql", "SELECT url FORM access_log", "--once", "access.log")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert (
        ended.stderr.splitlines()[-1]
        == "headrace: line 1, column 17: Syntax error at or near 'access_log': extra input 'access_log'"
    )
    assert "Traceback" not in ended.stderr
