"""``docs/jobs.md`` shows the real output of each job."""

from __future__ import annotations

import pytest

from docs.jobs_reference import PAGE
from tests.support.jobs_page import generated, main


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_output_is_what_the_job_prints() -> None:
    assert main([]) == 0


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_output_that_has_changed_is_noticed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    changed = page.replace("counted 43 + malformed 1", "counted 44 + malformed 0")
    assert changed != page
    assert generated(changed, ["sensors"]) == page
