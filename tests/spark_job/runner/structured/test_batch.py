"""A bounded run waits for the file that says where its range ends, and reads just that range of each log."""

from __future__ import annotations

import json
from threading import Event, Thread
from typing import TYPE_CHECKING

from spark_job.jobs import sessions
from spark_job.jobs.sessions import SessionsOptions
from spark_job.ranges import LogRange
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.structured.batch import ranges_up_to, wait_for_end
from tests.support.flight_double import FlightDouble, MemoryLog
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_the_range_of_each_log_ends_where_the_file_says(tmp_path: Path) -> None:
    one, two = MemoryLog(log_id="log-a"), MemoryLog(log_id="log-b")
    one.extend([b"x"] * 10)
    two.extend([b"x"] * 4)
    one.drop_below(2)
    with FlightDouble(one) as first, FlightDouble(two) as second:
        settings = JobSettings(bridges=f"{first.address},{second.address}", job_folder=tmp_path).of_job("sessions")
        given = sessions.JOB.source_options(settings, SessionsOptions()) | {"startingOffsets": "earliest"}
        ranges = ranges_up_to(sessions.JOB, {"log-a": 7, "log-b": 4}, given)
    assert ranges == [LogRange("log-a", 2, 7), LogRange("log-b", 0, 4)]


def test_it_waits_for_the_file_and_reports_that_it_runs(tmp_path: Path) -> None:
    drain, folder = tmp_path / "drain.json", JobFolder(tmp_path / "job")
    settings, found = JobSettings(drain_to_file=drain), []
    waiting = Thread(target=lambda: found.append(wait_for_end(settings, folder, Event())))
    waiting.start()
    wait_until(folder.progress.exists, 30, "a first report")
    assert json.loads(folder.progress.read_bytes())["state"] == "running"
    new = tmp_path / "new"
    new.write_text('{"log-a": 7}')
    new.replace(drain)
    waiting.join(30)
    assert found == [{"log-a": 7}]


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    assert wait_for_end(JobSettings(drain_to_file=tmp_path / "never"), JobFolder(tmp_path), stop) is None
