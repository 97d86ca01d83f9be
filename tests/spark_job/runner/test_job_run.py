"""The frame of a run: the folder is claimed, everything is closed in reverse order, a failure is written down."""

from __future__ import annotations

import json
import sys
from threading import Event
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import JobFolderError, QueryFailed
from spark_job.jobs.options import UrlCountsOptions
from spark_job.runner.job_run import job_run
from spark_job.runner.job_settings import JobSettings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from spark_job.runner.job_run import JobRun


def frame(folder: Path, window: str = "5m") -> AbstractContextManager[JobRun]:
    return job_run("any", JobSettings(job_folder=folder), {"window": window}, UrlCountsOptions, Event())


def test_the_folder_is_claimed_and_standard_error_is_that_of_the_user(tmp_path: Path) -> None:
    before = sys.stderr
    with frame(tmp_path / "job") as run:
        assert run.user is before
        assert sys.stderr is not before
        assert json.loads(run.folder.progress.read_bytes())["state"] == "starting"
        with pytest.raises(JobFolderError, match="another job is running"), frame(tmp_path / "job"):
            pass
    with frame(tmp_path / "job"):
        pass
    with pytest.raises(JobFolderError, match="window was '5m' and is '1m'"), frame(tmp_path / "job", "1m"):
        pass


def test_what_an_older_version_had_as_an_option_is_no_difference(tmp_path: Path) -> None:
    settings = JobSettings(job_folder=tmp_path)
    with job_run("any", settings, {"window": "5m", "watermark": "10m"}, UrlCountsOptions, Event()):
        pass
    with frame(tmp_path):
        pass


def test_what_was_opened_is_closed_in_reverse_order_before_the_failure_is_written(tmp_path: Path) -> None:
    closed: list[str] = []

    def close(name: str) -> None:
        closed.append(f"{name} {json.loads((tmp_path / 'progress.json').read_bytes())['state']}")

    def fail() -> None:
        with frame(tmp_path) as run:
            run.opened.callback(close, "first")
            run.opened.callback(close, "second")
            raise QueryFailed("the query died")

    with pytest.raises(QueryFailed):
        fail()
    assert closed == ["second starting", "first starting"]
    told = json.loads((tmp_path / "progress.json").read_bytes())
    assert (told["state"], told["error"]) == ("failed", "the query died")


def test_bridges_that_are_away_cost_little_time(tmp_path: Path) -> None:
    with frame(tmp_path) as run:
        bridges = run.bridges(JobSettings(bridges="127.0.0.1:1").of_job("any").parsed_flume_options())
        assert bridges.poll(patient=False).silent
