"""The registry of jobs: every name finds its module, and an unknown one is refused with the nearest."""

from __future__ import annotations

import pytest

from spark_job.errors import OptionError
from spark_job.jobs.catalog import JOBS, SQL, entry_of, load


def test_a_job_is_found_by_its_name() -> None:
    assert entry_of("status-per-batch").module == "spark_job.jobs.status_per_batch"
    assert entry_of("sql") is SQL
    assert len({entry.name for entry in JOBS}) == len(JOBS)


@pytest.mark.parametrize(
    ("name", "hint"), [("url-count", "did you mean 'url-counts'?"), ("zzz", "the jobs are url-counts, sessions,")]
)
def test_an_unknown_job_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(OptionError) as refused:
        entry_of(name)
    assert f"no job is called {name!r}" in str(refused.value)
    assert hint in str(refused.value)


@pytest.mark.parametrize("entry", [*JOBS, SQL], ids=lambda entry: entry.name)
def test_the_entry_names_the_api_of_its_job(entry: object) -> None:
    from spark_job.jobs.both_apis import EitherApi
    from spark_job.jobs.catalog import Entry
    from spark_job.runner.dstreams.job import DStreamJob

    assert isinstance(entry, Entry)
    kinds = {EitherApi: "both", DStreamJob: "dstreams"}
    assert kinds.get(type(load(entry.name)), "structured") == entry.api
