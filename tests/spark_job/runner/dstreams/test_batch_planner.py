"""What a batch holds: planned once, within the limit, over all bridges that answer."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import DataLoss, OffsetsError
from spark_job.runner.dstreams.batch_planner import BatchPlanner
from spark_job.runner.dstreams.batch_plans import BatchPlans
from spark_job.runner.dstreams.decoder import TextLines
from spark_job.source.options import parse_flume_options
from tests.support.planning import World, filled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


@contextmanager
def planner_of(folder: Path, bridges: str, limit: int = 100) -> Iterator[BatchPlanner]:
    """Give a new planner over the plans of a folder, as a started job makes it."""
    options = parse_flume_options({"bridges": bridges, "consumer": "c", "bridgeTimeout": "200ms"})
    with (
        closing(BatchPlans(folder / "batches.db")) as plans,
        closing(BatchPlanner(options, plans, TextLines(), folder / "audit", limit)) as planner,
    ):
        yield planner


def test_a_batch_is_planned_once_and_the_next_goes_on_behind_it(world: World, tmp_path: Path) -> None:
    log = filled(10, "log-a")
    bridge = world.serve(log)
    with planner_of(tmp_path, bridge.address) as planner:
        planner.begin()
        first = planner.plan(1000)
        log.extend([b"more"] * 5)
        assert planner.plan(1000) == first
        assert first.ends == {"log-a": 10}
        assert planner.plan(2000).ends == {"log-a": 15}
        assert planner.plan(3000).ranges == []
    log.extend([b"more"] * 5)
    with planner_of(tmp_path, bridge.address) as planner:
        planner.begin()
        assert planner.plan(2000).starts == {"log-a": 10}, "asked again after a restart"
        assert planner.plan(4000).ends == {"log-a": 20}


def test_the_limit_is_shared_and_holds_over_all_batches_under_way(world: World, tmp_path: Path) -> None:
    one, two = world.serve(filled(900, "log-a")), world.serve(filled(100, "log-b"))
    with planner_of(tmp_path, f"{one.address},{two.address}", limit=100) as planner:
        planner.begin()
        first = planner.plan(1000)
        assert sum(log_range.events for log_range in first.ranges) == 100
        assert {log_range.log_id for log_range in first.ranges} == {"log-a", "log-b"}
        assert planner.plan(2000).ranges == [], "the first one is not done"
        planner.finish(2000)
        assert sum(log_range.events for log_range in planner.plan(3000).ranges) == 100


def test_a_silent_bridge_keeps_its_place_and_the_batches_go_on(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there, away = filled(10, "log-a"), filled(10, "log-b")
    addresses = f"{world.serve(there).address},{world.serve(away).address}"
    port = int(addresses.rpartition(":")[2])
    with planner_of(tmp_path, addresses) as planner:
        planner.begin()
        planner.plan(1000)
    world.stop(away)
    there.extend([b"more"] * 3)
    # Also when it is away from the start of a process on.
    with caplog.at_level(logging.WARNING), planner_of(tmp_path, addresses) as planner:
        planner.begin()
        assert planner.plan(2000).ends == {"log-a": 13, "log-b": 10}
        planner.plan(3000)
        assert len([record for record in caplog.records if "does not answer" in record.message]) == 1
        away.extend([b"more"] * 4)
        world.serve(away, port)
        assert planner.plan(4000).ends == {"log-a": 13, "log-b": 14}


def test_a_log_that_joins_is_read_from_its_first_event(world: World, tmp_path: Path) -> None:
    one = world.serve(filled(10, "log-a"))
    with planner_of(tmp_path, one.address) as planner:
        planner.begin()
        planner.plan(1000)
    two = world.serve(filled(7, "log-b"))
    with planner_of(tmp_path, f"{one.address},{two.address}") as planner:
        planner.begin()
        batch = planner.plan(2000)
    assert (batch.starts, batch.ends) == ({"log-a": 10, "log-b": 0}, {"log-a": 10, "log-b": 7})


def test_what_ends_the_streams_is_remembered(world: World, tmp_path: Path) -> None:
    log = filled(10, "log-a")
    bridge = world.serve(log)
    with planner_of(tmp_path, bridge.address) as planner:
        planner.begin()
        planner.plan(1000)
        planner.release({"log-a": 10})
        log.extend([b"more"] * 10)
        log.first_offset = 15
        with pytest.raises(DataLoss, match="events 10 to 14 are lost"):
            planner.plan(2000)
        assert isinstance(planner.failure, DataLoss)
    with planner_of(tmp_path.parent, bridge.address) as other, pytest.raises(OffsetsError, match="'c' has read log"):
        other.begin()
