"""The job url-counts: its source, what decides what its counts mean, and the same counts over a batch."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.jobs.options import UrlCountsOptions
from spark_job.jobs.url_counts import JOB
from spark_job.runner.job_settings import JobSettings
from spark_job.windows import Windows
from tests.support.bridges import RealBridge
from tests.support.counting import CountingQuery, line
from tests.support.jobs import run_over

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = JobSettings(bridges="127.0.0.1:4142", job_folder=Path("/job"), url="full").of_job("url-counts")


def test_lines_are_added_up_by_pane_where_they_are_read() -> None:
    options = JOB.source_options(SETTINGS, UrlCountsOptions(window="5m", slide="1m"))
    assert options["rollup"] == "60000 milliseconds"
    assert options["audit"] == "/job/audit"
    assert (options["bridges"], options["consumer"], options["url"]) == ("127.0.0.1:4142", "url-counts", "full")


def test_a_bounded_run_reads_lines_as_any_job_does() -> None:
    bounded = SETTINGS.model_copy(update={"bounded": True})
    options = JOB.source_options(bounded, UrlCountsOptions(window="5m", slide="1m"))
    assert (options["auditPane"], "rollup" in options) == ("60000 milliseconds", False)
    assert JOB.fingerprint(bounded, UrlCountsOptions())["bounded"] == "true"


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


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("slide_s", [60, 20])
def test_a_batch_counts_what_the_stream_counted(spark: SparkSession, tmp_path: Path, slide_s: int) -> None:
    windows = Windows(timedelta(minutes=1), timedelta(seconds=slide_s))
    lines = [*(line(second * 13 % 900, f"/{second % 11}") for second in range(2_000)), b"junk"]
    options = UrlCountsOptions(window=windows.length, slide=windows.slide)
    with RealBridge(tmp_path / "a") as bridge:
        bridge.extend(lines)
        rows, batch_tally = run_over(spark, JOB, options, bridge, tmp_path / "batch")
    with (
        RealBridge(tmp_path / "b") as bridge,
        CountingQuery(spark, bridge, tmp_path / "stream", windows, max_events=700) as query,
    ):
        for start in range(0, len(lines), 900):
            query.feed(lines[start : start + 900])
        streamed = {(window.start, window.end, *count) for window, count in query.table.rows()}
        tally = query.table.tally()
    names = ("window_start", "window_end", "url", "hits", "bytes", "errors")
    assert {tuple(row[name] for name in names) for row in rows} == streamed
    assert str(batch_tally) == "lines read 2,001 = counted 2,000 + malformed 1"
    assert str(tally) == "lines read 2,001 = counted 2,000 + malformed 1 + too old 0"
