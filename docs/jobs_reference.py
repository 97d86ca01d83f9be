"""The table of all jobs at the head of the page about jobs, read from the catalog.

The outputs on that page are those of real runs: ``make docs-check`` compares them (``tests/support/jobs_page.py``).
"""

from __future__ import annotations

import re
from pathlib import Path

from docs.settings_reference import table
from spark_job.jobs.catalog import JOBS

PAGE = Path(__file__).resolve().parent / "jobs.md"


def page() -> str:
    """Return the page about jobs with the catalog of today.

    Raises:
        LookupError: the page lacks the mark of the table.
    """
    return replaced(PAGE.read_text(encoding="utf-8"), "jobs", "", catalog())


def catalog() -> str:
    """Return the catalog as a table."""
    rows = [(f"[`{each.name}`](#{each.name})", each.api, each.summary, each.shows) for each in JOBS]
    return table(("job", "API", "computes", "shows"), rows).rstrip("\n")


def replaced(page: str, mark: str, section: str, block: str) -> str:
    """Return the page with the block after ``mark`` replaced, in one section or, without one, in the whole page.

    Raises:
        LookupError: the page has no such section or mark.
    """
    start = page.index(f"\n## `{section}`\n") if section else 0
    end = page.find("\n## ", start + 1) if section else len(page)
    part = page[start : end if end >= 0 else len(page)]
    if f"<!-- {mark} -->\n" not in part:
        raise LookupError(f"the page has no <!-- {mark} --> in section {section or 'on top'}")
    before, _, after = part.partition(f"<!-- {mark} -->\n")
    old = re.compile(r"(?:```[^\n]*\n.*?^```\n?|(?:\|[^\n]*\n)+)?", re.DOTALL | re.MULTILINE).match(after)
    rest = after[old.end() if old is not None else 0 :]
    return page.replace(part, f"{before}<!-- {mark} -->\n{block}\n{rest}", 1)
