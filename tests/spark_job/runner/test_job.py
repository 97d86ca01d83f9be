"""What all kinds of job have in common: the interface, and a table's name."""

from __future__ import annotations

import pytest

from spark_job.jobs.catalog import JOBS, load
from spark_job.jobs.options import SqlOptions
from spark_job.runner.job import table_name
from spark_job.runner.job_settings import JobSettings


def test_a_table_has_the_name_of_its_job_without_dashes() -> None:
    assert table_name("url-counts-dstream") == "url_counts_dstream"


@pytest.mark.parametrize("name", [entry.name for entry in JOBS])
def test_every_job_resolves_to_one_that_resolves_to_itself(name: str) -> None:
    job = load(name)
    resolved = job.resolved(job.options())
    assert resolved.resolved(job.options()) is resolved
    assert (resolved.name, resolved.source, resolved.options) == (job.name, job.source, job.options)
    assert not hasattr(resolved, "run"), "the runner runs jobs"


def test_the_query_decides_what_the_sql_job_reads() -> None:
    job = load("sql")
    for view in ("access_log", "flume"):
        options = SqlOptions(query=f"SELECT * FROM {view}")  # noqa: S608 -- no data in it
        assert job.resolved(options).source == view
        job.check(JobSettings(bridges="127.0.0.1:4142").of_job("sql"), options)
