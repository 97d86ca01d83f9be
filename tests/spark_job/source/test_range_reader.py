"""A part is read on an executor: events that are gone are reported, and tables have bounded sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.errors import BridgeUnavailable, DataLoss
from spark_job.ranges import LogRange, Part
from spark_job.source.options import parse_flume_options
from spark_job.source.range_reader import (
    MAX_TABLE_BYTES,
    MAX_TABLE_EVENTS,
    PartitionReader,
    RangePartition,
    as_lines,
    as_tables,
)
from tests.support.block_rows import Block, block_batch, line_batch
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator

BODIES = [b"event %d" % n for n in range(2500)]


@pytest.fixture
def double() -> Iterator[FlightDouble]:
    with FlightDouble(MemoryLog(bodies=list(BODIES))) as double:
        yield double


def read(double: FlightDouble, start: int = 0, end: int = 2500, **options: str) -> list[int]:
    """Return the offsets that a part gives."""
    parsed = parse_flume_options({"bridges": double.address, "bridgeTimeout": "1ms"} | options)
    partition = RangePartition(parsed.bridges[0], Part(start, end, LogRange(double.log.log_id, start, end)))
    batches = list(PartitionReader(parsed).read(partition))
    return [offset for batch in batches for offset in batch["offset"].to_pylist()]


def test_a_part_is_read_whole(double: FlightDouble) -> None:
    assert read(double, 10, 2400) == list(range(10, 2400))


def test_events_deleted_before_the_read(double: FlightDouble, caplog: pytest.LogCaptureFixture) -> None:
    double.log.drop_below(1200)
    with pytest.raises(DataLoss, match="events 0 to 1199 are lost: the bridge has deleted them"):
        read(double)
    assert read(double, failOnDataLoss="false") == list(range(1200, 2500))
    assert read(double, end=700, failOnDataLoss="false") == []
    assert "events 0 to 699 are lost" in caplog.text


@pytest.mark.parametrize("damage", [(0, 9), (500, 699), (1000, 1999), (1500, 2499), (1500, 9999)])
def test_damage_costs_the_damaged_events_and_no_others(double: FlightDouble, damage: tuple[int, int]) -> None:
    double.log.damaged = damage
    with pytest.raises(DataLoss, match=f"events {damage[0]} to {min(damage[1], 2499)} are lost: offsets"):
        read(double)
    kept = [offset for offset in range(2500) if not damage[0] <= offset <= damage[1]]
    assert read(double, failOnDataLoss="false") == kept


def test_another_log_at_the_address_needs_a_new_plan(double: FlightDouble) -> None:
    options = parse_flume_options({"bridges": double.address})
    partition = RangePartition(options.bridges[0], Part(0, 1, LogRange("another", 0, 1)))
    with pytest.raises(BridgeUnavailable, match=r"log another is not at 127\.0\.0\.1"):
        list(PartitionReader(options).read(partition))


def test_a_log_that_is_gone_gives_nothing(double: FlightDouble) -> None:
    options = parse_flume_options({"bridges": double.address})
    assert list(PartitionReader(options).read(RangePartition(None, Part(0, 5, LogRange("gone", 0, 5))))) == []


def batch(count: int, size: int = 1) -> pa.RecordBatch:
    return pa.record_batch({"body": pa.array([bytes(size)] * count, pa.binary())})


def test_small_batches_become_tables_of_bounded_size() -> None:
    tables = list(as_tables(batch(MAX_TABLE_EVENTS // 4) for _ in range(10)))
    assert sum(table.num_rows for table in tables) == MAX_TABLE_EVENTS // 4 * 10
    assert len(tables) == 3
    assert all(table.num_rows <= MAX_TABLE_EVENTS for table in tables)


def test_big_events_do_not_add_up_beyond_the_bound() -> None:
    tables = list(as_tables(batch(1, MAX_TABLE_BYTES // 3) for _ in range(7)))
    assert [table.num_rows for table in tables] == [2, 2, 2, 1]


def test_a_single_batch_beyond_the_bound_is_taken_alone() -> None:
    assert [table.num_rows for table in as_tables([batch(3), batch(MAX_TABLE_EVENTS + 1), batch(2)])] == [
        3,
        MAX_TABLE_EVENTS + 1,
        2,
    ]
    assert list(as_tables([])) == []


def test_blocks_are_counted_in_lines_and_share_no_table_with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.source.range_reader.MAX_TABLE_EVENTS", 5)
    blocks, lines = block_batch([Block(b"a\nb\n"), Block(b"c\n")]), line_batch([Block(b"x\n")])
    tables = list(as_tables([lines, lines, blocks, blocks, lines]))
    assert [table.num_rows for table in tables] == [2, 2, 2, 1]


def test_the_lines_of_blocks_come_in_tables_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.source.range_reader.MAX_TABLE_EVENTS", 5)
    blocks = block_batch([Block(b"\n" * 17), Block(b"c\n")])
    batches = list(as_lines([blocks, line_batch([Block(b"x\n")], first=18)]))
    assert [batch["offset"].to_pylist() for batch in batches] == [
        [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14], [15, 16, 17], [18],
    ]  # fmt: skip


def test_damage_in_blocks_costs_the_damaged_lines_and_no_others() -> None:
    log = MemoryLog(bodies=[b"event"])
    log.add_block(b"line\n" * 30)
    log.damaged = (11, 20)
    with FlightDouble(log) as double:
        parsed = parse_flume_options({"bridges": double.address, "failOnDataLoss": "false"})
        part = Part(0, 31, LogRange(log.log_id, 0, 31))
        batches = PartitionReader(parsed).read(RangePartition(parsed.bridges[0], part))
        found = [offset for batch in as_lines(batches) for offset in batch["offset"].to_pylist()]
    assert found == [*range(11), *range(21, 31)]
