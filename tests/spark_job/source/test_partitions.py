"""Ranges become partitions at the bridges that have their logs; events that are gone are skipped or refused."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import DataLoss, OffsetsError, OptionError
from spark_job.ranges import LogRange
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_flume_options
from spark_job.source.partitions import assign, plan_batch
from tests.support.planning import IMPATIENT, World, filled, ranges

if TYPE_CHECKING:
    from spark_job.source.range_reader import RangePartition


def assigned(world: World, wanted: list[LogRange], **given: str) -> list[RangePartition]:
    options = parse_flume_options({"bridges": world.addresses} | given)
    with closing(Bridges(options, IMPATIENT)) as bridges:
        return assign(wanted, bridges.poll(patient=False), options)


def planned(world: World, **given: str) -> list[RangePartition]:
    options = parse_flume_options({"bridges": world.addresses} | given)
    with closing(Bridges(options, IMPATIENT)) as bridges:
        return plan_batch(options, bridges)


def test_parts_are_read_where_their_log_is_and_know_the_whole_range(world: World) -> None:
    port = world.serve(filled(10, "a")).port
    whole = LogRange("a", 2, 10)
    partitions = assigned(world, [whole], minPartitions="2")
    assert ranges(partitions) == [("a", 2, 6), ("a", 6, 10)]
    assert {(each.address.port, each.part.whole) for each in partitions if each.address} == {(port, whole)}


def test_partitions_of_lost_events_are_still_those_of_the_range(world: World) -> None:
    """The audit of a micro-batch covers its whole range, whatever is left of it."""
    log = filled(10, "a")
    log.drop_below(4)
    world.serve(log)
    wanted = [LogRange("a", 2, 10), LogRange("gone", 0, 5)]
    with pytest.raises(DataLoss, match="log a: events 2 to 3 are lost: the bridge has deleted them"):
        assigned(world, wanted)
    with pytest.raises(DataLoss, match="log gone: events 0 to 4 are lost: no bridge has this log any more"):
        assigned(world, wanted[1:])
    partitions = assigned(world, wanted, failOnDataLoss="false")
    assert ranges(partitions) == [("a", 2, 10), ("gone", 0, 5)]
    assert [each.address is None for each in partitions] == [False, True]


def test_a_log_that_holds_less_than_was_planned_was_restored(world: World) -> None:
    world.serve(filled(10, "a"))
    with pytest.raises(OffsetsError, match=r"the range ends at 11, but bridge .* stored only up to 10; was it"):
        assigned(world, [LogRange("a", 0, 11)], failOnDataLoss="false")


def test_a_batch_read_goes_from_the_start_of_each_log_to_its_end(world: World) -> None:
    log = filled(10, "a")
    log.drop_below(3)
    log.consumers["q"] = {"start": 0, "committed": 7}
    world.serve(log)
    world.serve(filled(4, "b"))
    assert ranges(planned(world)) == [("a", 3, 10), ("b", 0, 4)]
    assert ranges(planned(world, startingOffsets="committed", consumer="q")) == [("a", 7, 10), ("b", 0, 4)]
    assert ranges(planned(world, startingOffsets='{"a": 5}', endingOffsets='{"a": 6, "b": 0}')) == [("a", 5, 6)]


def test_a_log_that_no_bridge_has_is_refused(world: World) -> None:
    world.serve(filled(4, "b"))
    with pytest.raises(OptionError, match="option endingOffsets: no bridge has log z"):
        planned(world, endingOffsets='{"z": 1}')
