"""A structured job: options of its source, refusals before Java starts, and the fingerprint of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_job.errors import OptionError
from spark_job.jobs import sensors, sessions
from spark_job.jobs.sensors import SensorsOptions
from spark_job.jobs.sessions import SessionsOptions
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.sink_spec import parse_sink

SETTINGS = JobSettings(bridges="127.0.0.1:4142", job_folder=Path("/job"), sinks=("console",))


def test_access_logs_are_parsed_and_audited_by_what_makes_a_line_late() -> None:
    options = sessions.JOB.source_options(SETTINGS.of_job("sessions"), SessionsOptions())
    assert options["logFormat"] == "combined"
    assert (options["audit"], options["auditPane"]) == ("/job/audit", "instant")
    assert "rollup" not in options


def test_objects_have_fields_and_a_time() -> None:
    options = sensors.JOB.source_options(SETTINGS.of_job("sensors"), SensorsOptions(window="30s"))
    assert options["fields"] == "device string, time timestamp, value double"
    assert options["timeField"] == "time"
    assert options["auditPane"] == "30000 milliseconds"
    assert "logFormat" not in options


def test_the_bridges_of_every_source_are_parsed() -> None:
    for job, options in ((sessions.JOB, SessionsOptions()), (sensors.JOB, SensorsOptions())):
        given = job.source_options(SETTINGS.of_job(job.name), options)
        assert job.flume_options(given).consumer == job.name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bounded": True}, "--bounded needs --drain-to-file"),
        ({"bridges": "nowhere"}, "host:port"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"sinks": (parse_sink("parquet:/tmp"),)}, "Parquet files are for url-counts"),
    ],
)
def test_what_cannot_be_used_is_refused_before_java_starts(changes: dict[str, object], said: str) -> None:
    settings = SETTINGS.of_job("sessions")
    sessions.JOB.check(settings, SessionsOptions())
    with pytest.raises(OptionError, match=said):
        sessions.JOB.check(settings.model_copy(update=changes), SessionsOptions())


def test_the_fingerprint_is_the_one_that_older_folders_have() -> None:
    assert sessions.JOB.fingerprint(SETTINGS.of_job("sessions"), SessionsOptions()) == {
        "job": "sessions",
        "bounded": "false",
        "consumer": "sessions",
        "gap": "30m",
        "watermark": "10m",
        "time": "event",
        "format": "combined",
        "url": "path",
        "timezone": "UTC",
    }
    assert sensors.JOB.fingerprint(SETTINGS.of_job("sensors"), SensorsOptions()) == {
        "job": "sensors",
        "bounded": "false",
        "consumer": "sensors",
        "window": "1m",
        "silence": "3",
        "watermark": "30s",
    }
