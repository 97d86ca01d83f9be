"""A job in both APIs: the option picks one, and refuses what only the other one has."""

from __future__ import annotations

import pytest

from spark_job.errors import OptionError
from spark_job.jobs import running_totals, top_sellers
from spark_job.jobs.running_totals import TotalsOptions
from spark_job.jobs.top_sellers import SellersOptions
from spark_job.runner.job_settings import JobSettings


def test_the_option_picks_the_job() -> None:
    for job, options in ((running_totals.JOB, TotalsOptions), (top_sellers.JOB, SellersOptions)):
        assert job.resolved(options(api="dstream")) is job.dstream
        assert job.resolved(options(api="structured")) is job.structured
    assert running_totals.JOB.resolved(TotalsOptions()) is running_totals.JOB.structured
    assert top_sellers.JOB.resolved(SellersOptions()) is top_sellers.JOB.dstream


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("rate", 5, "Structured Streaming has --max-events"),
        ("batch_interval", "2s", "Structured Streaming has --trigger"),
        ("keep", "1h", "the table of the other has each window once"),
    ],
)
def test_an_option_of_the_classic_api_is_refused_in_the_other(option: str, value: object, reason: str) -> None:
    settings = JobSettings().of_job("top-sellers")
    given = {"slide": "10m", option: value}
    with pytest.raises(OptionError, match=f"--{option.replace('_', '-')} is for --api dstream: {reason}"):
        top_sellers.JOB.check(settings, SellersOptions(api="structured", **given))
    top_sellers.JOB.check(settings, SellersOptions(api="dstream", **given))


def test_both_have_one_name_source_and_model() -> None:
    for job in (running_totals.JOB, top_sellers.JOB):
        assert job.dstream.name == job.structured.name == job.name
        assert job.dstream.source == job.structured.source == job.source
        assert job.dstream.options is job.structured.options is job.options
