"""A run over JSON objects: its sum, its database, and the watch over its queries."""

from __future__ import annotations

import json
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.errors import QueryFailed, QueryStalled, SinkError
from spark_job.jobs.actions import JOB, ActionsOptions
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.objects.run import RecordTally, RunningQueries, database_of, read_files, tally_of
from spark_job.runner.watch import Watch
from tests.support.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


class IdleQuery:
    """A query that reports nothing more; a real one that hangs cannot be had on request."""

    def __init__(self, name: str, error: Exception | None = None, *, active: bool = True) -> None:
        self.id = self.name = name
        self.isActive, self.error = active, error
        self.lastProgress = None

    def exception(self) -> Exception | None:
        return self.error

    def stop(self) -> None:
        self.isActive = False


def watch(folder: Path, *queries: IdleQuery, stop: Event | None = None) -> JobFolder:
    job = JobFolder(folder)
    running = RunningQueries(cast("Any", queries), 5.0, Clock(step_s=1.0))
    Watch(running, job, JobSettings()).until_the_end(stop or Event())
    return job


def test_a_sum_balances_if_every_record_is_counted_or_malformed() -> None:
    assert str(RecordTally(3, 1)) == "records counted 3 + malformed 1"
    assert RecordTally(3, 1).balanced
    assert str(RecordTally(3, 1, read=4)) == "records read 4 = counted 3 + malformed 1"
    assert str(RecordTally(3, 1, read=5)) == "records read 5 \N{NOT EQUAL TO} counted 3 + malformed 1"
    assert not RecordTally(3, 1, read=5).balanced


def test_a_stop_stops_every_query(tmp_path: Path) -> None:
    stop, one, two = Event(), IdleQuery("one"), IdleQuery("two")
    stop.set()
    folder = watch(tmp_path, one, two, stop=stop)
    assert (one.isActive, two.isActive) == (False, False)
    assert json.loads(folder.progress.read_bytes())["state"] == "stopping"


def test_a_query_that_died_says_why_and_one_that_stands_still_is_a_stall(tmp_path: Path) -> None:
    error = RuntimeError("trace\nspark_job.errors.SinkError: the disk is full\n at x")
    with pytest.raises(SinkError, match="the disk is full"):
        watch(tmp_path, IdleQuery("one"), IdleQuery("two", error, active=False))
    with pytest.raises(QueryFailed, match="without an error"):
        watch(tmp_path, IdleQuery("one", active=False))
    with pytest.raises(QueryStalled, match="one: no progress for"):
        watch(tmp_path, IdleQuery("one"))


@pytest.mark.spark
def test_given_files_are_read_once_and_the_sum_is_counted_from_their_text(spark: SparkSession, tmp_path: Path) -> None:
    event = json.dumps({"action": "buy", "time": "2026-07-01T10:00:00Z"})
    (tmp_path / "a.json").write_text(f"{event}\n\n{event}\nnot json\n[{event}, {event}]\n")
    out = tmp_path / "out.jsonl"
    settings = JobSettings(job_folder=tmp_path / "job", sinks=(f"jsonl:{out}",))
    database = database_of(settings, JobFolder(tmp_path / "job"))
    tally = read_files(JOB, spark, settings, ActionsOptions(files=(tmp_path / "a.json",)), database)
    assert tally == RecordTally(counted=4, malformed=1, read=5)
    assert tally_of(database, "actions") == RecordTally(counted=4, malformed=1)
    assert [json.loads(line)["count"] for line in out.read_text().splitlines()] == [4]


def test_the_database_is_the_one_of_the_sink_or_the_file_in_the_folder(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    assert str(database_of(JobSettings(sinks=("console",)), folder)) == f"sqlite:///{folder.counts}"
    named = f"sqlite:///{tmp_path / 'mine.db'}"
    assert str(database_of(JobSettings(sinks=("console", named)), folder)) == named
