"""The task of a direct stream: rows in order, an audit of them, and a log that has moved to another bridge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.audit_file import read_audit
from spark_job.errors import BridgeUnavailable
from spark_job.ranges import LogRange, Part
from spark_job.runner.dstreams.decoder import JsonFields, TextLines
from spark_job.runner.dstreams.part_reader import AUDIT_PANE_US, PartReader, read_events
from spark_job.source.options import parse_flume_options
from spark_job.source.range_reader import RangePartition, as_lines
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = LogRange("log-a", 0, 10)


def log_of(*bodies: bytes) -> MemoryLog:
    log = MemoryLog(log_id="log-a")
    log.extend(bodies)
    return log


def test_rows_come_in_order_and_the_audit_accounts_for_each_line(tmp_path: Path) -> None:
    good = [json.dumps({"n": number}).encode() for number in range(8)]
    with FlightDouble(log_of(*good[:4], b"junk", *good[4:], b"{}{")) as bridge:
        options = parse_flume_options({"bridges": bridge.address})
        reader = PartReader(options, JsonFields((("n", "long"),)), tmp_path)
        parts = [RangePartition(options.bridges[0], Part(start, end, WHOLE)) for start, end in ((0, 5), (5, 10))]
        rows = [row for table in reader(parts) for row in table["n"].to_list()]
    assert rows == list(range(8))
    audit = list(read_audit(tmp_path, WHOLE, AUDIT_PANE_US, allow_loss=False))
    assert sum(part.events for part in audit) == 10
    assert sum(part.malformed for part in audit) == 2
    assert sum(sum(part.panes.values()) for part in audit) == 8
    texts = [path.read_text() for path in tmp_path.rglob("*.malformed.jsonl")]
    letters = [json.loads(line) for line in "".join(texts).splitlines()]
    assert sorted((letter["offset"], letter["raw"]) for letter in letters) == [(4, "junk"), (9, "{}{")]


def test_a_batch_that_is_in_the_sum_already_leaves_no_audit(tmp_path: Path) -> None:
    with FlightDouble(log_of(*[b"x"] * 10)) as bridge:
        options = parse_flume_options({"bridges": bridge.address})
        tables = PartReader(options, TextLines(), None)([RangePartition(options.bridges[0], Part(2, 7, WHOLE))])
        assert sum(len(table) for table in tables) == 5
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_has_moved_is_found_at_another_bridge() -> None:
    with FlightDouble(log_of()) as gone:
        old = gone.address
    with FlightDouble(log_of(*[b"%d" % n for n in range(10)])) as moved:
        options = parse_flume_options({"bridges": f"{old},{moved.address}", "bridgeTimeout": "200ms"})
        events = read_events(options, RangePartition(options.bridges[0], Part(3, 10, WHOLE)))
        offsets = [offset for record_batch in events for offset in record_batch.column(0).to_pylist()]
    assert offsets == list(range(3, 10))


def test_a_log_that_no_bridge_has_is_an_error() -> None:
    with FlightDouble(log_of()) as gone:
        options = parse_flume_options({"bridges": gone.address, "bridgeTimeout": "100ms"})
    with pytest.raises(BridgeUnavailable):
        list(read_events(options, RangePartition(options.bridges[0], Part(0, 10, WHOLE))))


def test_lines_of_blocks_are_rows_and_cut_lines_are_dead_letters_for_every_decoder(tmp_path: Path) -> None:
    log = log_of(b"event")
    log.add_block(b"a\nb\r\n")
    log.add_block(b"beginning", length=5_000_000)
    log.add_block(b"c")
    with FlightDouble(log) as bridge:
        bridge.break_reads_after = [2, 1]
        options = parse_flume_options({"bridges": bridge.address})
        whole = LogRange("log-a", 0, 5)
        tables = list(
            PartReader(options, TextLines(), tmp_path)([RangePartition(options.bridges[0], Part(0, 5, whole))])
        )
        assert [line for table in tables for line in table["line"].to_list()] == ["event", "a", "b\r", "c"]
    (audit,) = read_audit(tmp_path, whole, AUDIT_PANE_US, allow_loss=False)
    assert (audit.events, audit.malformed, audit.panes) == (5, 1, {0: 4})
    (path,) = tmp_path.rglob("*.malformed.jsonl")
    letter = json.loads(path.read_text())
    assert (letter["offset"], letter["error"], letter["raw"]) == (3, "line too long", "beginning")
    assert letter["cut_length"] == 5_000_000


def test_malformed_and_cut_lines_keep_their_places(tmp_path: Path) -> None:
    log = log_of()
    log.add_block(b'x\n{"n": 1}\ny\n')
    log.add_block(b'{"n": 2}', length=99)
    log.add_block(b'{"n": 3}\nz\n')
    with FlightDouble(log) as bridge:
        options = parse_flume_options({"bridges": bridge.address})
        part = RangePartition(options.bridges[0], Part(0, 6, LogRange("log-a", 0, 6)))
        tables = list(PartReader(options, JsonFields((("n", "long"),)), tmp_path)([part]))
    assert [number for table in tables for number in table["n"].to_list()] == [1, 3]
    letters = [
        json.loads(line) for path in tmp_path.rglob("*.malformed.jsonl") for line in path.read_text().splitlines()
    ]
    assert [(letter["offset"], letter["raw"], letter.get("cut_length")) for letter in letters] == [
        (0, "x", None), (2, "y", None), (3, '{"n": 2}', 99), (5, "z", None),
    ]  # fmt: skip


def test_a_log_that_moves_within_a_block_is_read_on_at_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.flight_double.MAX_BATCH_EVENTS", 3)
    log = log_of()
    log.add_block(b"".join(b"%d\n" % number for number in range(10)))
    with FlightDouble(log) as moved:
        old = FlightDouble(log)
        options = parse_flume_options({"bridges": f"{old.address},{moved.address}", "bridgeTimeout": "200ms"})
        batches = read_events(options, RangePartition(options.bridges[0], Part(0, 10, WHOLE)))
        found = [next(batches)]
        old.stop()
        found += list(batches)
    assert [body for batch in as_lines(found) for body in batch["body"].to_pylist()] == [b"%d" % n for n in range(10)]
