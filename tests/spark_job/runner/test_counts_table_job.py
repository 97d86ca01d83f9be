"""A job over the results table: the options of its source, and what decides what its counts mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_job.errors import OptionError
from spark_job.jobs.options import UrlCountsOptions
from spark_job.jobs.url_counts import JOB
from spark_job.runner.job_settings import JobSettings

SETTINGS = JobSettings(bridges="127.0.0.1:4142", job_folder=Path("/job"), url="full").of_job("url-counts")


def test_lines_are_added_up_by_pane_where_they_are_read() -> None:
    options = JOB.source_options(SETTINGS, UrlCountsOptions(window="5m", slide="1m"))
    assert options["rollup"] == "60000 milliseconds"
    assert options["audit"] == "/job/audit"
    assert (options["bridges"], options["consumer"], options["url"]) == ("127.0.0.1:4142", "url-counts", "full")


def test_the_fingerprint_is_the_one_that_older_folders_have() -> None:
    assert JOB.fingerprint(SETTINGS, UrlCountsOptions()) == {
        "window": "5m",
        "slide": "5m",
        "time": "event",
        "format": "combined",
        "url": "full",
        "timezone": "UTC",
        "consumer": "url-counts",
    }


def test_what_may_change_between_two_starts_is_not_in_it() -> None:
    changed = SETTINGS.model_copy(update={"bridges": "127.0.0.1:5", "top": 3})
    options = UrlCountsOptions(keep="1d", max_rows=7)
    assert JOB.fingerprint(changed, options) == JOB.fingerprint(SETTINGS, UrlCountsOptions())


def test_the_source_and_the_parser_are_asked_before_java_starts() -> None:
    JOB.check(SETTINGS, UrlCountsOptions())
    with pytest.raises(OptionError, match="nowhere"):
        JOB.check(SETTINGS.model_copy(update={"bridges": "nowhere"}), UrlCountsOptions())
    with pytest.raises(OptionError, match="Mars/Olympus"):
        JOB.check(SETTINGS.model_copy(update={"timezone": "Mars/Olympus"}), UrlCountsOptions())
