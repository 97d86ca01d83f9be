"""Blocks give the rows, the sums and the audit that their lines give; no Spark is started."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from spark_job.accounting.audit_file import AuditRecord
from spark_job.accounting.open_panes import write_open_from
from spark_job.ranges import LogRange, Part
from spark_job.source.access_log import Lines, RollUp
from spark_job.source.options import parse_access_log_options
from tests.support.access_lines import TIME, apache_time, combined
from tests.support.block_rows import Block, block_batch, line_batch

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2015, 5, 17, 10, 0, 30, tzinfo=UTC)
BROKEN = combined()[:60].encode()


def line(minute: int, second: int, url: str) -> bytes:
    written = apache_time(datetime(2015, 5, 17, 10, minute, second, tzinfo=UTC))
    return combined(f"GET {url} HTTP/1.1").replace(TIME, written).encode()


LINES = [line(0, 5, "/a"), line(0, 59, "/a"), line(0, 30, "/b"), BROKEN, line(1, 0, "/a"), line(7, 0, "/a?q=1")]


@pytest.fixture(params=["parsed", "by kernels"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the few lines of these tests both ways: parsed, as few lines are, and as a worker that has seen many."""
    if request.param == "by kernels":
        monkeypatch.setattr("spark_job.parse.line_counter.KERNELS_AFTER_LINES", 0)


def options_of(**options: str) -> Any:
    return parse_access_log_options({"bridges": "127.0.0.1:1"} | options)


def part_of(start: int, end: int) -> Part:
    return Part(start, end, LogRange("log", start, end))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_blocks_give_the_same_rows_sums_and_audit_as_their_lines(tmp_path: Path) -> None:
    """Mixed with events, and with a task's tables cut small."""
    body = b"".join(text + b"\n" for text in LINES)
    given = [Block(body), Block(LINES[0] + b"\r\n" + BROKEN), Block(b"\n\xff\x00\n"), Block(LINES[1])]
    count = sum(len(block.lines()) for block in given)
    forms = {
        "lines": [line_batch(given)],
        "blocks": [block_batch(given)],
        "both": [line_batch(given[:1]), block_batch(given[1:], len(LINES))],
    }
    sums, written, rows = {}, {}, {}
    for form, batches_of_form in forms.items():
        write_open_from(tmp_path / form, int(AT.timestamp()) * 1_000_000)
        parsed = options_of(rollup="1 minute", audit=str(tmp_path / form))
        found = RollUp(parsed, parsed.rollup_us).convert(part_of(0, count), batches_of_form)
        sums[form] = sorted(tuple(row.values()) for batch in found for row in batch.to_pylist())
        written[form] = files(tmp_path / form / "log")
        rows[form] = pa.Table.from_batches(Lines(options_of()).convert(part_of(0, count), batches_of_form)).to_pylist()
    assert sums["lines"] == sums["blocks"] == sums["both"] != []
    assert written["lines"] == written["blocks"] == written["both"]
    assert rows["lines"] == rows["blocks"] == rows["both"]
    record = AuditRecord.read(tmp_path / "blocks/log" / f"0-{count}" / f"0-{count}.json")
    assert (record.events, record.malformed, record.too_old) == (count, 4, 2)


def test_a_cut_line_is_malformed_in_rows_and_sums_and_keeps_its_length(tmp_path: Path) -> None:
    batch = block_batch([Block(LINES[0] + b"\n"), Block(LINES[1], cut=1000)])
    parsed = options_of(rollup="1 minute", audit=str(tmp_path))
    list(RollUp(parsed, parsed.rollup_us).convert(part_of(0, 2), [batch]))
    assert AuditRecord.read(tmp_path / "log/0-2/0-2.json").malformed == 1
    letter = json.loads((tmp_path / "log/0-2/0-2.malformed.jsonl").read_text())
    assert (letter["offset"], letter["error"], letter["cut_length"]) == (1, "line too long", len(LINES[1]) + 1000)
    rows = pa.Table.from_batches(Lines(options_of()).convert(part_of(0, 2), [batch])).to_pylist()
    assert [(row["url"], row["error"]) for row in rows] == [("/a", None), (None, "line too long")]
