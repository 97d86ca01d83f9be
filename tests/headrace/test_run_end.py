"""The end of a run in words: everything counted, what waits, and what went wrong."""

from __future__ import annotations

import pytest

from headrace.run_end import RunEnd
from headrace.state_folder import RunRecord

AT = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("uncounted", "files", "said"),
    [
        (0, 0, f"stopped at {AT}, everything counted"),
        (0, 2, f"stopped at {AT}; the next start counts what waits: 2 files in the spool folder"),
        (3000, 0, f"stopped at {AT}; the next start counts what waits: 3,000 lines"),
        (3000, 1, f"stopped at {AT}; the next start counts what waits: 1 file in the spool folder, 3,000 lines"),
        (None, 0, f"stopped at {AT}; the next start counts what waits: lines whose number is not known"),
    ],
)
def test_the_text_says_what_waits_for_the_next_start(uncounted: int | None, files: int, said: str) -> None:
    end = RunEnd("", AT, uncounted)
    assert end.text(files) == said
    assert end.problems() == []


def test_lost_lines_and_stages_that_did_not_work_are_problems() -> None:
    run = RunRecord("r", 1, "2026-01-02T03:00:00Z", "spool", stopped=AT, uncounted=5, lost=7, failed=["job"])
    run.stages["job"].last_fault = "ended with exit code 2"
    # A fault that the supervisor has repaired is none of the end's.
    run.stages["agent"].last_fault = "was not ready within 60 s"
    assert RunEnd.of(run) == RunEnd("2026-01-02T03:00:00Z", AT, 5, 7, {"job": "ended with exit code 2"})
    assert RunEnd.of(run).problems() == [
        "the job did not work when the run was stopped: it ended with exit code 2",
        "the run was stopped in a hurry: 7 lines in the memory channel are lost",
    ]


def test_a_killed_run_has_no_stop() -> None:
    end = RunEnd.of(RunRecord("r", 1, "2026-01-02T03:00:00Z", "spool"))
    assert end.text(0) == ""
    assert end.problems() == [
        "the run that began at 2026-01-02T03:00:00Z was killed; the next start goes on where it was"
    ]
