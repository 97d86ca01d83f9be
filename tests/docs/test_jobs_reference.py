"""The page about jobs gets today's catalog, and keeps everything else."""

from __future__ import annotations

import pytest

from docs.jobs_reference import PAGE, catalog, page, replaced
from spark_job.jobs.catalog import JOBS

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


def test_the_catalog_has_a_row_for_each_job_and_stands_on_the_page() -> None:
    rows = catalog().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [entry.name for entry in JOBS]
    assert page() == PAGE.read_text(encoding="utf-8")
