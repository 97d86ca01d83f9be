"""The planner, called in the orders in which Spark calls it, over real Flight endpoints; no Spark is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql.streaming.datasource import ReadMaxBytes, ReadMaxFiles, ReadMaxRows, ReadMinRows

from spark_job.errors import BridgeUnavailable, DataLoss, OffsetsError, OptionError
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_flume_options
from spark_job.source.partitions import plan_batch
from tests.support.planning import ALL, IMPATIENT, World, filled, ranges

if TYPE_CHECKING:
    from pyspark.sql.streaming.datasource import ReadLimit

    from spark_job.source.planner import StreamPlanner

# ---- where a query starts


@pytest.mark.parametrize(("position", "expected"), [("earliest", 3), ("latest", 10), ('{"a": 5}', 5), ("committed", 3)])
def test_the_initial_offset_is_the_same_at_every_call(world: World, position: str, expected: int) -> None:
    log = filled(10, "a")
    log.drop_below(3)
    world.serve(log)
    assert world.planner(startingOffsets=position).initial_offset() == {"a": expected}
    log.extend([b""] * 10)
    assert world.planner(startingOffsets=position).initial_offset() == {"a": expected}


def test_batch_0_replayed_from_latest_reads_what_it_was_planned_to(world: World) -> None:
    log = filled(345, "a")
    world.serve(log)
    planner = world.planner(startingOffsets="latest")
    start = planner.initial_offset()
    log.extend([b""] * 10)
    end = planner.latest_offset(start, ALL)
    planned = ranges(planner.partitions(start, end))
    log.extend([b""] * 10)
    after_crash = world.planner(startingOffsets="latest")
    assert ranges(after_crash.partitions(after_crash.initial_offset(), end)) == planned == [("a", 345, 355)]


def test_committed_continues_where_the_consumer_was(world: World) -> None:
    log = filled(10, "a")
    log.consumers["q"] = {"start": 0, "committed": 7}
    world.serve(log)
    assert world.planner(startingOffsets="committed").initial_offset() == {"a": 7}


def test_a_consumer_that_has_read_further_does_not_start_again(world: World) -> None:
    log = filled(10, "a")
    log.consumers["q"] = {"start": 0, "committed": 7}
    world.serve(log)
    with pytest.raises(OffsetsError, match=r"'q' has read log a up to 7 already.*startingOffsets=committed"):
        world.planner().initial_offset()


@pytest.mark.parametrize("offset", [2, 11])
def test_a_start_that_the_log_does_not_have(world: World, offset: int) -> None:
    log = filled(10, "a")
    log.drop_below(3)
    world.serve(log)
    with pytest.raises(OffsetsError, match=f"startingOffsets: log a: offset {offset} is"):
        world.planner(startingOffsets=f'{{"a": {offset}}}').initial_offset()


def test_a_start_in_a_log_that_no_bridge_has(world: World) -> None:
    world.serve(filled(1, "a"))
    with pytest.raises(OptionError, match="startingOffsets: no bridge has log b; known are a"):
        world.planner(startingOffsets='{"b": 1}').initial_offset()


def test_every_bridge_must_answer_at_the_start(world: World) -> None:
    gone = filled(1, "gone")
    world.serve(gone)
    world.serve(filled(1, "a"))
    addresses = world.addresses
    world.stop(gone)
    with pytest.raises(BridgeUnavailable, match="does not answer"):
        world.planner(bridges=addresses).initial_offset()


def test_one_bridge_under_two_addresses(world: World) -> None:
    double = world.serve(filled(1, "a"))
    twice = f"127.0.0.1:{double.port},localhost:{double.port}"
    with pytest.raises(OptionError, match="are the same bridge"):
        world.planner(bridges=twice).initial_offset()


# ---- how far a batch goes


def test_limits_in_events(world: World) -> None:
    world.serve(filled(900, "a"))
    world.serve(filled(100, "b"))
    planner = world.planner()
    start = planner.initial_offset()
    assert planner.latest_offset(start, ReadMaxRows(100)) == {"a": 90, "b": 10}
    assert planner.latest_offset(start, ReadMaxRows(10_000)) == {"a": 900, "b": 100}
    assert planner.latest_offset(start, ALL) == {"a": 900, "b": 100}
    assert planner.latest_offset({"a": 900, "b": 100}, ReadMaxRows(1)) == {"a": 900, "b": 100}


def test_limits_in_bytes_go_by_the_mean_size(world: World) -> None:
    world.serve(filled(1000, "a", size=100))
    world.serve(filled(1000, "b", size=10))
    planner = world.planner()
    start = planner.initial_offset()
    assert planner.latest_offset(start, ReadMaxBytes(11_000)) == {"a": 100, "b": 100}
    assert planner.latest_offset(start, ReadMaxBytes(10**9)) == {"a": 1000, "b": 1000}
    assert sum(planner.latest_offset(start, ReadMaxBytes(1)).values()) == 1
    served = {log_id for turn in range(2) for log_id in moved(planner, {"a": turn, "b": 0}, ReadMaxBytes(1))}
    assert served == {"a", "b"}


def moved(planner: StreamPlanner, start: dict[str, int], limit: ReadLimit) -> set[str]:
    """Return the logs that the next batch reads from."""
    return {log_id for log_id, end in planner.latest_offset(start, limit).items() if end > start[log_id]}


def test_a_trickle_is_not_starved_by_a_flood(world: World) -> None:
    world.serve(filled(100_000, "flood", size=100))
    world.serve(filled(1, "trickle", size=100))
    planner = world.planner()
    start = planner.initial_offset()
    assert planner.latest_offset(start, ReadMaxBytes(1000)) == {"flood": 9, "trickle": 1}
    assert planner.latest_offset(start, ReadMaxRows(10)) == {"flood": 9, "trickle": 1}


def test_both_limits_hold_together(world: World) -> None:
    world.serve(filled(1000, "a", size=100))
    planner = world.planner(maxBytesPerTrigger="5000")
    start = planner.initial_offset()
    assert planner.latest_offset(start, ReadMaxRows(70)) == {"a": 50}
    assert planner.latest_offset(start, ReadMaxRows(30)) == {"a": 30}
    assert planner.latest_offset(start, ALL) == {"a": 1000}


def test_a_least_number_of_events_is_waited_for_unless_the_query_ends_now(world: World) -> None:
    world.serve(filled(10, "a"))
    planner = world.planner()
    start = planner.initial_offset()
    assert planner.latest_offset(start, ReadMinRows(11)) == {"a": 0}
    assert planner.latest_offset(start, ReadMinRows(10)) == {"a": 10}
    planner.stop_at_present()
    assert planner.latest_offset(start, ReadMinRows(11)) == {"a": 10}


def test_a_limit_that_does_not_apply_to_events(world: World) -> None:
    world.serve(filled(10, "a"))
    planner = world.planner()
    with pytest.raises(OffsetsError, match="ReadMaxFiles"):
        planner.latest_offset(planner.initial_offset(), ReadMaxFiles(1))


def test_the_target_of_available_now_is_reached_and_not_passed(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    planner = world.planner()
    planner.stop_at_present()
    offsets = planner.initial_offset()
    log.extend([b""] * 90)
    world.serve(filled(5, "new"))
    seen = []
    while (following := planner.latest_offset(offsets, ReadMaxRows(4))) != offsets:
        seen.append(following["a"])
        offsets = following
    assert seen == [4, 8, 10]
    assert planner.report_latest_offset() == {"a": 100}


def test_with_a_target_a_silent_bridge_is_an_error(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    planner = world.planner()
    planner.stop_at_present()
    start = planner.initial_offset()
    world.stop(log)
    with pytest.raises(BridgeUnavailable):
        planner.latest_offset(start, ALL)


def test_the_log_of_a_silent_bridge_keeps_its_offset(world: World, caplog: pytest.LogCaptureFixture) -> None:
    here, away = filled(10, "here"), filled(10, "away")
    world.serve(here)
    port = world.serve(away).port
    addresses = world.addresses
    planner = world.planner()
    start = planner.initial_offset()
    world.stop(away)
    for _ in range(3):
        assert planner.latest_offset(start, ALL) == {"here": 10, "away": 0}
    assert [record.message for record in caplog.records if "does not answer" in record.message] == [caplog.messages[0]]
    with pytest.raises(BridgeUnavailable):
        world.planner(bridges=addresses).latest_offset(start, ALL)
    world.serve(away, port)
    assert planner.latest_offset(start, ALL) == {"here": 10, "away": 10}


# ---- who reads what, and what is done


def test_partitions_depend_on_range_and_options_alone(world: World) -> None:
    log = filled(100, "a")
    world.serve(log)
    world.planner().initial_offset()
    planned = ranges(world.planner(minPartitions="3").partitions({"a": 10}, {"a": 100}))
    log.extend([b""] * 100)
    assert ranges(world.planner(minPartitions="3").partitions({"a": 10}, {"a": 100})) == planned
    assert planned == [("a", 10, 40), ("a", 40, 70), ("a", 70, 100)]
    assert world.planner().partitions({"a": 100}, {"a": 100}) == []


def test_commit_reaches_each_bridge_and_failures_are_survived(world: World, caplog: pytest.LogCaptureFixture) -> None:
    here, away, unknown = filled(10, "here"), filled(10, "away"), filled(10, "unknown")
    for log in (here, away):
        world.serve(log)
    planner = world.planner()
    planner.initial_offset()
    world.stop(away)
    planner.commit({"here": 4, "away": 4, "gone": 1})
    world.serve(unknown)
    world.planner().commit({"here": 5, "unknown": 5})
    assert here.consumers["q"]["committed"] == 5
    assert away.consumers["q"]["committed"] == 0
    assert "the bridge did not accept the commit of offset 5 of log unknown" in caplog.text


def test_a_restarted_query_commits_what_its_start_proves(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    world.planner().initial_offset()
    restarted = world.planner()
    restarted.partitions({"a": 4}, {"a": 7})
    assert log.consumers["q"] == {"start": 0, "committed": 4}


# ---- batch reads


def test_a_program_that_commits_itself_starts_where_it_says_and_nothing_else_commits(world: World) -> None:
    log = filled(20, "a")
    world.serve(log)
    world.planner().initial_offset()
    log.consumers["q"]["committed"] = 9
    for position in (9, 12, 4):
        own = world.planner(startingOffsets=f'{{"a": {position}}}', commitOffsets="false")
        assert own.initial_offset() == {"a": position}, "also below the commit: the events are still there"
    own.partitions({"a": 12}, {"a": 15})
    own.commit({"a": 15})
    assert log.consumers["q"]["committed"] == 9


def test_a_program_that_commits_itself_holds_the_events_of_a_new_consumer(world: World) -> None:
    log = filled(20, "a")
    world.serve(log)
    own = world.planner(startingOffsets='{"a": 5}', commitOffsets="false")
    assert own.initial_offset() == {"a": 5}
    assert log.consumers["q"] == {"start": 5, "committed": 5}


def batch_ranges(world: World, **options: str) -> list[tuple[str, int, int]]:
    parsed = parse_flume_options({"bridges": world.addresses} | options)
    bridges = Bridges(parsed, IMPATIENT)
    try:
        return ranges(plan_batch(parsed, bridges))
    finally:
        bridges.close()


def test_a_batch_read_resolves_both_ends(world: World) -> None:
    log = filled(10, "a")
    log.drop_below(2)
    log.consumers["q"] = {"start": 0, "committed": 6}
    world.serve(log)
    world.serve(filled(5, "b"))
    assert batch_ranges(world) == [("a", 2, 10), ("b", 0, 5)]
    assert batch_ranges(world, startingOffsets='{"a": 4, "b": "latest"}') == [("a", 4, 10)]
    assert batch_ranges(world, endingOffsets='{"a": 4}') == [("a", 2, 4), ("b", 0, 5)]
    assert batch_ranges(world, startingOffsets="committed", consumer="q") == [("a", 6, 10), ("b", 0, 5)]


def test_a_batch_read_beyond_the_stored_events(world: World) -> None:
    log = filled(10, "a")
    log.drop_below(2)
    world.serve(log)
    with pytest.raises(OffsetsError, match="has stored only up to 10"):
        batch_ranges(world, endingOffsets='{"a": 11}')
    with pytest.raises(OffsetsError, match="starts at 5, after its end 4"):
        batch_ranges(world, startingOffsets='{"a": 5}', endingOffsets='{"a": 4}')
    with pytest.raises(DataLoss, match="events 1 to 1 are lost"):
        batch_ranges(world, startingOffsets='{"a": 1}')
    with pytest.raises(OptionError, match="endingOffsets: no bridge has log b"):
        batch_ranges(world, endingOffsets='{"b": 11}')
