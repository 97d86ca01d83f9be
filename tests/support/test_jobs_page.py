"""``docs/jobs.md`` has a section for each job, with the job's real output."""

from __future__ import annotations

import pytest

from spark_job.jobs.catalog import JOBS
from tests.support.jobs_page import PAGE, generated, main, replaced, table

PAGE_FOR_TESTS = """# T

<!-- jobs -->
| old |
|---|

text

## `a`

<!-- output -->
```json
old
```

after

## `b`

<!-- output -->
"""


def test_blocks_are_replaced_in_their_section_and_nothing_else_is() -> None:
    page = replaced(PAGE_FOR_TESTS, "output", "a", "```json\nnew\n```")
    assert page == PAGE_FOR_TESTS.replace("old\n```", "new\n```")
    page = replaced(page, "output", "b", "```json\nnew\n```")
    assert page.endswith("<!-- output -->\n```json\nnew\n```\n")
    assert replaced(page, "jobs", "", "| new |") == page.replace("| old |\n|---|\n", "| new |\n")
    with pytest.raises(LookupError, match="no <!-- other --> in section a"):
        replaced(page, "other", "a", "x")


def test_every_job_has_a_section_with_a_command_and_an_output_and_the_table_is_the_catalog() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page
    for entry in JOBS:
        section = page.partition(f"\n## `{entry.name}`\n")[2].partition("\n## ")[0]
        assert f"headrace job {entry.name} " in section
        assert "read" in section.partition("<!-- output -->\n```text\n")[2].partition("\n```")[0], entry.name


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
