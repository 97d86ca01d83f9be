"""A DStream job: columns and key by its kind, the limit that the bridges get, the fingerprint of its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.jobs import running_totals, status_per_batch, url_counts_dstream
from spark_job.jobs.status_per_batch import StatusOptions
from spark_job.runner.dstreams.options import SlidingOptions
from spark_job.runner.job_settings import JobSettings

if TYPE_CHECKING:
    from spark_job.runner.dstreams.job import DStreamJob

SETTINGS = JobSettings(bridges="127.0.0.1:4142").of_job("url-counts-dstream")


@pytest.mark.parametrize(
    ("job", "columns", "key"),
    [
        (url_counts_dstream.JOB, ["window_start", "window_end", "url", "hits"], ("window_end", "url")),
        (status_per_batch.JOB, ["batch_time", "visitor", "status", "hits"], ("batch_time", "visitor", "status")),
        (running_totals.JOB.dstream, ["url", "hits", "bytes"], ("url",)),
    ],
)
def test_the_kind_decides_the_columns_of_time_and_the_key(
    job: DStreamJob, columns: list[str], key: tuple[str, ...]
) -> None:
    assert job.schema.names == columns
    assert job.stored_key == key


def test_the_bridges_get_the_limit_of_a_batch_and_no_headers() -> None:
    options = StatusOptions(rate=50, batch_interval="2s")
    flume = status_per_batch.JOB.flume_options(SETTINGS, options)
    assert (flume.max_events_per_trigger, flume.include_headers) == (100, False)
    assert flume.consumer == "url-counts-dstream"


def test_the_fingerprint_is_the_one_that_older_folders_have() -> None:
    expected = {
        "job": "url-counts-dstream",
        "consumer": "url-counts-dstream",
        "batch_interval": "1s",
        "window": "6s",
        "slide": "None",
        "format": "combined",
        "url": "path",
        "timezone": "UTC",
    }
    for changeable in ({}, {"rate": 5, "keep": "1h"}):
        assert url_counts_dstream.JOB.fingerprint(SETTINGS, SlidingOptions(window="6s", **changeable)) == expected
