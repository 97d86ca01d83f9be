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
from spark_job.source.range_reader import RangePartition
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
