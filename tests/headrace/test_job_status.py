"""The job's counters: from a file of this version, of the one before, and from none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from headrace.job_status import URL_COUNTS, JobStatus, job_status

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_counters_are_those_of_the_progress_file(tmp_path: Path) -> None:
    tally = {"read": 9, "lost": 0, "counted": 4, "malformed": 1, "late": 1, "too_old": 3, "hits": 8}
    fields = {"state": "running", "batch_at": "2026-01-02T03:04:00Z", "positions": {"L": 9}, "tally": tally}
    (tmp_path / "progress.json").write_text(json.dumps(fields))
    found = job_status(tmp_path / "progress.json", URL_COUNTS, up=True, now=NOW)
    assert (found.name, found.state, found.positions, found.batch_age_s) == ("url-counts", "running", {"L": 9}, 5.0)
    assert (found.read, found.counted, found.malformed, found.late, found.too_old) == (9, 4, 1, 1, 3)


@pytest.mark.parametrize("text", [None, "{"])
def test_without_a_file_nothing_is_known(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "progress.json").write_text(text)
    assert job_status(tmp_path / "progress.json", "bots", up=False, now=NOW) == JobStatus(up=False, name="bots")


@pytest.mark.parametrize(
    ("name", "late", "too_old", "terms"),
    [
        (URL_COUNTS, None, 3, (("too old", 3),)),
        # The table was taken over from a version that had a watermark.
        (URL_COUNTS, 2, 0, (("late", 2), ("too old", 0))),
        (URL_COUNTS, None, None, ()),
        ("sessions", 2, None, (("late", 2),)),
        ("sessions", 0, None, (("late", 0),)),
        ("running-totals", None, None, ()),
    ],
)
def test_a_line_is_late_where_there_is_a_watermark_and_too_old_where_retention_closes_windows(
    name: str, late: int | None, too_old: int | None, terms: tuple[tuple[str, int | None], ...]
) -> None:
    assert JobStatus(up=True, name=name, late=late, too_old=too_old).not_counted() == terms
