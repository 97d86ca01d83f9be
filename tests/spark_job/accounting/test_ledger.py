"""The ledger entry of a micro-batch, made from its files, and the ways in which the files may contradict each other."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.ledger import Ledger, LedgerEntry
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.errors import AccountingError
from spark_job.ranges import LogRange
from spark_job.windows import Windows

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = timedelta(minutes=1)
MINUTE_US, MINUTE_MS = 60_000_000, 60_000
WINDOWS = Windows(2 * MINUTE, MINUTE, MINUTE)


class Files:
    """A checkpoint and an audit folder written by hand, in the words of Spark and of the readers."""

    def __init__(self, root: Path) -> None:
        self.checkpoint = root / "checkpoint"
        self.audit = root / "audit"
        (self.checkpoint / "offsets").mkdir(parents=True)
        (self.checkpoint / "metadata").write_text('{"id":"query-1"}')

    def plan(self, batch_id: int, ends: dict[str, int], watermark_ms: int = 0) -> None:
        metadata = json.dumps({"batchWatermarkMs": watermark_ms, "batchTimestampMs": 1, "conf": {}})
        (self.checkpoint / "offsets" / str(batch_id)).write_text(f"v1\n{metadata}\n{json.dumps(ends)}")

    def part(
        self, log_id: str, batch: str, name: str, *, malformed: int = 0, changes: dict[str, object] | None = None
    ) -> None:
        """Write the audit of ``name`` (``start-end``); its lines are all in the pane of minute 0."""
        start, end = map(int, name.split("-"))
        events = end - start
        fields = {
            "log_id": log_id,
            "start": start,
            "end": end,
            "events": events,
            "malformed": malformed,
            "pane_us": MINUTE_US,
            "panes": {"0": events - malformed},
        }
        folder = self.audit / log_id / batch
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(fields | (changes or {})))

    def entry(self, batch_id: int, *, first: int = 0, allow_loss: bool = False) -> LedgerEntry:
        ledger = Ledger(Checkpoint(self.checkpoint), self.audit, WINDOWS, lambda _: first, allow_loss=allow_loss)
        return ledger.entry(batch_id)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_batch_0_starts_where_the_bridges_say(files: Files) -> None:
    files.plan(0, {"a": 30})
    files.part("a", "10-30", "10-20", malformed=1)
    files.part("a", "10-30", "20-30")
    assert files.entry(0, first=10) == LedgerEntry("query-1", 0, (LogRange("a", 10, 30),), 0, 1, 0, 0, 0, 0)
    assert files.entry(0, first=10).read == 20


def test_later_batches_start_where_the_one_before_ended_and_new_logs_at_their_first_offset(files: Files) -> None:
    files.plan(3, {"a": 30, "quiet": 7})
    files.plan(4, {"a": 35, "new": 3, "quiet": 7}, watermark_ms=5)
    files.part("a", "30-35", "30-35")
    files.part("new", "0-3", "0-3")
    entry = files.entry(4)
    assert entry.ranges == (LogRange("a", 30, 35), LogRange("new", 0, 3))
    assert entry.read == 8


@pytest.mark.parametrize(
    ("watermark_ms", "late", "missed"),
    [(0, 0, 5), (-1, 0, 0), (MINUTE_MS - 1, 0, 5), (MINUTE_MS, 5, 0), (2 * MINUTE_MS, 5, 0)],
)
def test_lines_are_late_by_the_watermark_of_the_batch_before(
    files: Files, watermark_ms: int, late: int, missed: int
) -> None:
    """The lines are in the pane of minute -1; the windows over it end at the minutes 0 and 1."""
    files.plan(0, {"a": 10}, watermark_ms=watermark_ms)
    files.plan(1, {"a": 15}, watermark_ms=99 * MINUTE_MS)
    files.part("a", "10-15", "10-15", changes={"panes": {str(-MINUTE_US): 5}})
    entry = files.entry(1)
    assert (entry.late, entry.missed) == (late, missed)
    assert (entry.late_before_ms, entry.closed_before_ms) == (watermark_ms, 99 * MINUTE_MS)


def test_a_source_that_has_no_offset_yet_is_an_empty_batch(files: Files) -> None:
    files.plan(0, {})
    (files.checkpoint / "offsets" / "0").write_text('v1\n{"batchWatermarkMs":0}\n-')
    assert files.entry(0).read == 0


# Ways in which the audit of batch 0, offsets 0 to 20, does not fit: its parts, and what is wrong with them.
DAMAGES: dict[str, list[tuple[str, dict[str, object]]]] = {
    "nothing": [],
    "end": [("0-10", {})],
    "beginning": [("10-20", {})],
    "gap": [("0-5", {}), ("6-20", {})],
    "overlap": [("0-11", {}), ("10-20", {})],
    "beyond": [("0-21", {})],
    "lost": [("0-20", {"events": 19, "panes": {"0": 19}})],
    "more than there is": [("0-20", {"events": 21, "panes": {"0": 21}})],
    "other pane": [("0-20", {"pane_us": 1})],
    "other log": [("0-20", {"log_id": "b"})],
    "sum": [("0-20", {"panes": {"0": 19}})],
    "no number": [("0-20", {"panes": {"0": "many"}})],
    "no field": [("0-20", {"panes": None})],
}


def damage(files: Files, name: str) -> None:
    files.plan(0, {"a": 20})
    for part, changes in DAMAGES[name]:
        files.part("a", "0-20", part, changes=changes)


@pytest.mark.parametrize("name", DAMAGES)
def test_an_audit_that_does_not_cover_the_range_once_is_an_error(files: Files, name: str) -> None:
    damage(files, name)
    with pytest.raises(AccountingError, match=r"audit|lines"):
        files.entry(0)


@pytest.mark.parametrize(("name", "lost"), [("nothing", 20), ("end", 10), ("beginning", 10), ("gap", 1), ("lost", 1)])
def test_missing_events_count_as_lost_where_that_is_allowed(files: Files, name: str, lost: int) -> None:
    damage(files, name)
    entry = files.entry(0, allow_loss=True)
    assert (entry.lost, entry.read) == (lost, 20 - lost)


def test_a_range_whose_beginning_was_lost_is_found_under_its_remaining_part(files: Files) -> None:
    files.plan(0, {"a": 20})
    files.part("a", "5-20", "5-20")
    assert files.entry(0, allow_loss=True).lost == 5


@pytest.mark.parametrize("name", ["overlap", "beyond", "other pane", "sum"])
def test_a_contradiction_is_an_error_even_then(files: Files, name: str) -> None:
    damage(files, name)
    with pytest.raises(AccountingError):
        files.entry(0, allow_loss=True)
