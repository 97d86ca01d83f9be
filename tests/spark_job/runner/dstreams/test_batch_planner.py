"""What a batch holds: planned once, within the limit, over all bridges that answer."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import DataLoss, OffsetsError
from spark_job.runner.dstreams.batch_planner import Feed
from spark_job.runner.dstreams.decoder import TextLines
from spark_job.runner.dstreams.planned_batches import Batches
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
def feed_of(folder: Path, bridges: str, limit: int = 100) -> Iterator[Feed]:
    """Give a new feed over the plans of a folder, as a started job makes it."""
    options = parse_flume_options({"bridges": bridges, "consumer": "c", "bridgeTimeout": "200ms"})
    with (
        closing(Batches(folder / "batches.db")) as batches,
        closing(Feed(options, batches, TextLines(), folder / "audit", limit)) as feed,
    ):
        yield feed


def test_a_batch_is_planned_once_and_the_next_goes_on_behind_it(world: World, tmp_path: Path) -> None:
    log = filled(10, "log-a")
    bridge = world.serve(log)
    with feed_of(tmp_path, bridge.address) as feed:
        feed.begin()
        first = feed.plan(1000)
        log.extend([b"more"] * 5)
        assert feed.plan(1000) == first
        assert first.ends == {"log-a": 10}
        assert feed.plan(2000).ends == {"log-a": 15}
        assert feed.plan(3000).ranges == []
    log.extend([b"more"] * 5)
    with feed_of(tmp_path, bridge.address) as feed:
        feed.begin()
        assert feed.plan(2000).starts == {"log-a": 10}, "asked again after a restart"
        assert feed.plan(4000).ends == {"log-a": 20}


def test_the_limit_is_shared_and_holds_over_all_batches_under_way(world: World, tmp_path: Path) -> None:
    one, two = world.serve(filled(900, "log-a")), world.serve(filled(100, "log-b"))
    with feed_of(tmp_path, f"{one.address},{two.address}", limit=100) as feed:
        feed.begin()
        first = feed.plan(1000)
        assert sum(log_range.events for log_range in first.ranges) == 100
        assert {log_range.log_id for log_range in first.ranges} == {"log-a", "log-b"}
        assert feed.plan(2000).ranges == [], "the first one is not done"
        feed.done(2000)
        assert sum(log_range.events for log_range in feed.plan(3000).ranges) == 100


def test_a_silent_bridge_keeps_its_place_and_the_batches_go_on(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there, away = filled(10, "log-a"), filled(10, "log-b")
    addresses = f"{world.serve(there).address},{world.serve(away).address}"
    port = int(addresses.rpartition(":")[2])
    with feed_of(tmp_path, addresses) as feed:
        feed.begin()
        feed.plan(1000)
    world.stop(away)
    there.extend([b"more"] * 3)
    # Also when it is away from the start of a process on.
    with caplog.at_level(logging.WARNING), feed_of(tmp_path, addresses) as feed:
        feed.begin()
        assert feed.plan(2000).ends == {"log-a": 13, "log-b": 10}
        feed.plan(3000)
        assert len([record for record in caplog.records if "does not answer" in record.message]) == 1
        away.extend([b"more"] * 4)
        world.serve(away, port)
        assert feed.plan(4000).ends == {"log-a": 13, "log-b": 14}


def test_a_log_that_joins_is_read_from_its_first_event(world: World, tmp_path: Path) -> None:
    one = world.serve(filled(10, "log-a"))
    with feed_of(tmp_path, one.address) as feed:
        feed.begin()
        feed.plan(1000)
    two = world.serve(filled(7, "log-b"))
    with feed_of(tmp_path, f"{one.address},{two.address}") as feed:
        feed.begin()
        batch = feed.plan(2000)
    assert (batch.starts, batch.ends) == ({"log-a": 10, "log-b": 0}, {"log-a": 10, "log-b": 7})


def test_what_ends_the_streams_is_remembered(world: World, tmp_path: Path) -> None:
    log = filled(10, "log-a")
    bridge = world.serve(log)
    with feed_of(tmp_path, bridge.address) as feed:
        feed.begin()
        feed.plan(1000)
        feed.release({"log-a": 10})
        log.extend([b"more"] * 10)
        log.first_offset = 15
        with pytest.raises(DataLoss, match="events 10 to 14 are lost"):
            feed.plan(2000)
        assert isinstance(feed.failure, DataLoss)
    with feed_of(tmp_path.parent, bridge.address) as other, pytest.raises(OffsetsError, match="'c' has read log"):
        other.begin()
