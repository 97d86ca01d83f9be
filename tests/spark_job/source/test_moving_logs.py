"""Logs that move, join or vanish, as the driver sees them; no Spark is started."""

from __future__ import annotations

import pytest
from pyspark.sql.streaming.datasource import ReadMaxRows

from spark_job.errors import BridgeUnavailable, DataLoss, OffsetsError
from spark_job.source.options import parse_flume_options
from tests.support.planning import ALL, World, filled, ranges


def test_offsets_follow_the_log_to_another_address(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    planner = world.planner()
    start = planner.initial_offset()
    end = planner.latest_offset(start, ReadMaxRows(4))
    world.stop(log)
    world.serve(log)
    moved = world.planner()
    assert ranges(moved.partitions(start, end)) == [("a", 0, 4)]
    assert moved.partitions(start, end)[0].address == parse_flume_options({"bridges": world.addresses}).bridges[0]
    assert moved.latest_offset(end, ALL) == {"a": 10}


def test_a_log_that_joins_starts_at_its_first_event(world: World) -> None:
    world.serve(filled(10, "a"))
    start = world.planner(startingOffsets="latest").initial_offset()
    joining = filled(8, "b")
    joining.drop_below(3)
    world.serve(joining)
    planner = world.planner(startingOffsets="latest")
    end = planner.latest_offset(start, ALL)
    assert end == {"a": 10, "b": 8}
    assert ranges(planner.partitions(start, end)) == [("b", 3, 8)]
    joining.extend([b""] * 2)
    assert ranges(world.planner().partitions(start, end)) == [("b", 3, 8)]


def test_a_log_that_joins_empty_keeps_its_events_from_then_on(world: World) -> None:
    world.serve(filled(1, "a"))
    planner = world.planner()
    start = planner.latest_offset(planner.initial_offset(), ALL)
    joining = filled(0, "b")
    world.serve(joining)
    assert world.planner().latest_offset(start, ALL) == start
    assert joining.consumers["q"] == {"start": 0, "committed": 0}


def test_a_log_that_is_gone_and_fully_read_is_no_loss(world: World) -> None:
    log = filled(10, "a")
    port = world.serve(log).port
    planner = world.planner()
    end = planner.latest_offset(planner.initial_offset(), ALL)
    planner.latest_offset(end, ALL)
    world.stop(log)
    world.serve(filled(2, "b"), port)
    assert planner.latest_offset(end, ALL) == {"a": 10, "b": 2}


@pytest.mark.parametrize("known_by", ["this process", "an earlier process"])
def test_a_log_that_is_gone_with_unread_events_is_data_loss(world: World, known_by: str) -> None:
    log = filled(10, "a")
    port = world.serve(log).port
    strict, lenient = world.planner(), world.planner(failOnDataLoss="false")
    start = strict.initial_offset()
    for planner in (strict, lenient):
        planner.latest_offset(start, ALL)
    world.stop(log)
    world.serve(filled(2, "b"), port)
    if known_by == "an earlier process":
        strict, lenient = world.planner(), world.planner(failOnDataLoss="false")
    with pytest.raises(DataLoss, match=r"log a: no bridge has this log any more.*failOnDataLoss=false"):
        strict.latest_offset(start, ALL)
    assert lenient.latest_offset(start, ALL) == {"b": 2}


def test_a_planned_range_of_a_log_that_is_gone(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    world.planner().initial_offset()
    world.stop(log)
    world.serve(filled(2, "b"))
    with pytest.raises(DataLoss, match="log a: events 4 to 9 are lost: no bridge has this log any more"):
        world.planner().partitions({"a": 4}, {"a": 10})
    skipped = world.planner(failOnDataLoss="false").partitions({"a": 4}, {"a": 10})
    assert ranges(skipped) == [("a", 4, 10)]
    assert skipped[0].address is None


def test_a_planned_range_whose_bridge_is_silent_is_not_skipped(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    addresses = world.addresses
    planner = world.planner(failOnDataLoss="false")
    planner.initial_offset()
    world.stop(log)
    for asked in (planner, world.planner(bridges=addresses, failOnDataLoss="false")):
        with pytest.raises(BridgeUnavailable):
            asked.partitions({"a": 4}, {"a": 10})


def test_events_that_the_bridge_deleted_unread(world: World, caplog: pytest.LogCaptureFixture) -> None:
    log = filled(10, "a")
    world.serve(log)
    start = world.planner().initial_offset()
    log.drop_below(6)
    with pytest.raises(DataLoss, match="log a: events 0 to 5 are lost: the bridge has deleted them"):
        world.planner().latest_offset(start, ALL)
    with pytest.raises(DataLoss, match="log a: events 0 to 3 are lost"):
        world.planner().partitions(start, {"a": 4})
    lenient = world.planner(failOnDataLoss="false")
    assert lenient.latest_offset(start, ReadMaxRows(2)) == {"a": 8}
    assert ranges(lenient.partitions(start, {"a": 8})) == [("a", 0, 8)]
    assert "events 0 to 5 are lost" in caplog.text


def test_a_log_that_is_shorter_than_what_was_read_is_never_skipped_over(world: World) -> None:
    world.serve(filled(10, "a"))
    lenient = world.planner(failOnDataLoss="false")
    with pytest.raises(OffsetsError, match=r"read up to 11, but bridge .* has stored only up to 10"):
        lenient.latest_offset({"a": 11}, ALL)
    with pytest.raises(OffsetsError, match=r"the range ends at 12, but bridge .* has stored only up to 10"):
        lenient.partitions({"a": 9}, {"a": 12})


def test_start_after_end_is_an_error(world: World) -> None:
    world.serve(filled(400, "a"))
    with pytest.raises(OffsetsError, match="starts at 355, after its end 345"):
        world.planner().partitions({"a": 355}, {"a": 345})
