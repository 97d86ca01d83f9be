"""Rows pass unchanged, and the audit beside them says how many there were, when, and which were malformed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_job.accounting.audit_file import AuditRecord
from spark_job.ranges import LogRange, Part
from spark_job.source.audited_rows import AuditedRows
from spark_job.source.json_events import JsonObjects
from spark_job.source.options import AuditOptions
from spark_job.source.readers import Conversion
from tests.support.block_rows import Block, block_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MINUTE_US = 60_000_000
AT = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
PART = Part(10, 14, LogRange("log-a", 10, 20))


class AsTheyAre(Conversion):
    """Hands rows on, and notes what it was asked to prepare."""

    def __init__(self) -> None:
        self.prepared: list[Part] = []

    def convert(self, _part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    def prepare(self, parts: Sequence[Part]) -> None:
        self.prepared += parts


def rows(offsets: list[int], minutes: list[int], errors: list[str | None]) -> pa.RecordBatch:
    times = [AT + timedelta(minutes=minute, seconds=59) for minute in minutes]
    columns: dict[str, Any] = {
        "offset": pa.array(offsets, pa.int64()),
        "received": pa.array([AT] * len(offsets), pa.timestamp("us", tz="UTC")),
        "time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "raw": pa.array([f"line {offset}" if error else None for offset, error in zip(offsets, errors, strict=True)]),
        "error": pa.array(errors, pa.string()),
    }
    return pa.record_batch(list(columns.values()), names=list(columns))


def test_lines_are_counted_by_pane_and_malformed_ones_are_kept(tmp_path: Path) -> None:
    given = [rows([10, 11], [0, -1], [None, None]), rows([12, 13], [0, 0], [None, "no-match"])]
    audited = AuditedRows(AsTheyAre(), AuditOptions(tmp_path, MINUTE_US))
    assert list(audited.convert(PART, given)) == given
    folder = tmp_path / "log-a" / "10-20"
    record = AuditRecord.read(folder / "10-14.json")
    assert (record.events, record.malformed, record.panes) == (4, 1, {4 * MINUTE_US: 1, 5 * MINUTE_US: 2})
    assert '"offset":13' in (folder / "10-14.malformed.jsonl").read_text()


def test_events_without_a_time_are_counted_by_arrival(tmp_path: Path) -> None:
    given = [rows([10, 11], [7, 9], [None, None]).select(["offset", "received"])]
    audited = AuditedRows(AsTheyAre(), AuditOptions(tmp_path, MINUTE_US), time="received")
    assert list(audited.convert(PART, given)) == given
    assert AuditRecord.read(tmp_path / "log-a" / "10-20" / "10-14.json").panes == {5 * MINUTE_US: 2}


def test_the_audit_is_not_there_before_the_last_row_is_taken(tmp_path: Path) -> None:
    converted = AuditedRows(AsTheyAre(), AuditOptions(tmp_path, MINUTE_US)).convert(PART, [rows([10], [0], [None])])
    next(converted)
    assert not list(tmp_path.rglob("*.json"))
    assert list(converted) == []
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_another_plan_clears_what_the_one_before_left(tmp_path: Path) -> None:
    inner = AsTheyAre()
    audited = AuditedRows(inner, AuditOptions(tmp_path, MINUTE_US))
    list(audited.convert(PART, [rows([10], [0], [None])]))
    whole = Part(10, 20, PART.whole)
    audited.prepare([whole])
    assert not list(tmp_path.rglob("*.json"))
    assert inner.prepared == [whole]


def test_the_dead_letter_of_a_cut_line_has_its_length(tmp_path: Path) -> None:
    """Its row has no column for that, so it is taken from the block."""
    blocks = block_batch([Block(b"{}\n"), Block(b"beginning", cut=91), Block(b"x\n")], 10)
    whole = Part(10, 13, PART.whole)
    audited = AuditedRows(JsonObjects({}), AuditOptions(tmp_path, MINUTE_US), time="received")
    assert sum(batch.num_rows for batch in audited.convert(whole, [blocks])) == 3
    record = AuditRecord.read(tmp_path / "log-a" / "10-20" / "10-13.json")
    assert (record.events, record.malformed) == (3, 2)
    text = (tmp_path / "log-a" / "10-20" / "10-13.malformed.jsonl").read_text()
    letters = [json.loads(line) for line in text.splitlines()]
    assert [(each["offset"], each["error"], each.get("cut_length")) for each in letters] == [
        (11, "line too long", 100), (12, "not a JSON object", None),
    ]  # fmt: skip
    assert "cut_length" not in letters[1]
