"""Delivery of batches: stored first, in the sum afterwards, released last; and no batch passes one that failed."""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.errors import AccountingError, AuditError
from spark_job.jobs import url_counts_dstream
from spark_job.ranges import Part
from spark_job.runner.dstreams.batch_planner import BatchPlanner
from spark_job.runner.dstreams.decoder import TextLines
from spark_job.runner.dstreams.delivery import ResultDelivery
from spark_job.runner.dstreams.intervals import Intervals
from spark_job.runner.dstreams.part_reader import PartReader
from spark_job.runner.dstreams.planned_batches import PlannedBatches
from spark_job.runner.dstreams.results import BatchResults
from spark_job.source.options import parse_flume_options
from spark_job.source.range_reader import RangePartition
from tests.support.flight_double import FlightDouble, MemoryLog
from tests.support.streams import results_by_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.core.rdd import RDD

SECOND = timedelta(seconds=1)
HORIZON_MS = 3_000
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Rows:
    """The RDD of a batch, as far as a delivery knows one: its rows are computed when they are collected."""

    def __init__(self, world: World, time_ms: int, *rows: tuple[Any, ...], fails: bool = False) -> None:
        self._world, self._time_ms, self._rows, self._fails = world, time_ms, rows, fails

    def collect(self) -> list[tuple[Any, ...]]:
        if self._fails:
            raise RuntimeError("killed here")
        self._world.read(self._time_ms)
        return list(self._rows)


class World:
    """A planner over a bridge, the file of plans, the results, and a delivery between them."""

    def __init__(self, folder: Path, bridge: FlightDouble, opened: ExitStack) -> None:
        self.folder, self.audit = folder, folder / "audit"
        self.audit.mkdir(exist_ok=True)
        self.checkpoint = folder / "checkpoint"
        self.checkpoint.mkdir(exist_ok=True)
        (self.checkpoint / "checkpoint-1000").touch()
        self.options = parse_flume_options({"bridges": bridge.address, "consumer": "c", "bridgeTimeout": "200ms"})
        self.batches = opened.enter_context(closing(PlannedBatches(folder / "batches.db")))
        planner = BatchPlanner(self.options, self.batches, TextLines(), self.audit, 100)
        self.planner = opened.enter_context(closing(planner))
        self.planner.begin()
        job, intervals = url_counts_dstream.JOB, Intervals(SECOND, 2 * SECOND, SECOND)
        results = BatchResults(job, intervals, folder / "counts.db", self.batches.query_id)
        self.delivery = ResultDelivery(
            self.planner,
            self.batches,
            opened.enter_context(closing(results)),
            self.audit,
            DeadLetters(self.audit, folder / "letters"),
            self.checkpoint,
            HORIZON_MS,
            Event(),
            now=lambda: NOW,
        )

    def read(self, time_ms: int) -> None:
        """Do what the tasks of a batch do."""
        for whole in self.planner.plan(time_ms).ranges:
            part = RangePartition(self.options.bridges[0], Part(whole.start, whole.end, whole))
            list(PartReader(self.options, TextLines(), self.audit)([part]))

    def run(self, time_ms: int, *rows: tuple[Any, ...]) -> None:
        """Let a batch run as Spark does."""
        self.delivery.deliver(time_ms, self.rdd(time_ms, *rows))
        self.delivery.finish(time_ms)

    def rdd(self, time_ms: int, *rows: tuple[Any, ...], fails: bool = False) -> RDD[Any]:
        return cast("RDD[Any]", Rows(self, time_ms, *rows, fails=fails))

    def stored(self) -> dict[int, dict[Any, Any]]:
        return results_by_time(url_counts_dstream.JOB, self.folder / "counts.db")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(log_id="log-a")


@pytest.fixture
def world(tmp_path: Path, log: MemoryLog) -> Iterator[World]:
    with FlightDouble(log) as bridge, ExitStack() as opened:
        yield World(tmp_path, bridge, opened)


def test_a_batch_is_stored_and_then_in_the_sum(world: World, log: MemoryLog) -> None:
    log.extend([b"x"] * 4)
    world.planner.plan(1_000)
    world.delivery.deliver(1_000, world.rdd(1_000, ("/", 4)))
    assert world.stored() == {1: {"/": 4}}
    assert (world.delivery.tally.read, world.delivery.newest) == (0, None)
    world.delivery.finish(1_000)
    assert (world.delivery.tally.read, world.delivery.tally.counted, world.delivery.positions) == (4, 4, {"log-a": 4})
    assert world.delivery.newest is not None
    assert (world.delivery.newest.number, world.delivery.newest.stored_at) == (1_000, NOW)
    assert not list(world.audit.rglob("*.json")), "what is in the sum needs no audit"


def test_a_batch_that_runs_again_changes_nothing(world: World, log: MemoryLog) -> None:
    log.extend([b"x"] * 4)
    world.run(1_000, ("/", 4))
    world.run(1_000, ("/", 99))
    assert world.stored() == {1: {"/": 4}}
    assert world.delivery.tally.read == 4


def test_a_batch_between_two_slides_is_accounted_for_with_the_next_result(world: World, log: MemoryLog) -> None:
    log.extend([b"x"] * 2)
    world.read(1_000)
    world.delivery.finish(1_000)
    assert world.delivery.tally.read == 0, "its lines are in no stored result"
    log.extend([b"x"] * 3)
    world.run(2_000, ("/", 5))
    assert (world.delivery.tally.read, world.delivery.tally.balanced) == (5, True)


def test_no_batch_passes_one_that_failed(world: World, log: MemoryLog) -> None:
    log.extend([b"x"] * 2)
    world.planner.plan(1_000)
    with pytest.raises(RuntimeError, match="killed here"):
        world.delivery.deliver(1_000, world.rdd(1_000, fails=True))
    with pytest.raises(RuntimeError, match="killed here"):
        world.delivery.finish(1_000)
    with pytest.raises(RuntimeError, match="killed here"):
        world.run(2_000, ("/", 2))
    assert (world.delivery.tally.read, str(world.delivery.failure)) == (0, "killed here")


def test_a_batch_whose_audit_is_missing_is_not_in_the_sum(world: World, log: MemoryLog) -> None:
    log.extend([b"x"] * 2)
    world.planner.plan(1_000)
    empty = world.rdd(1_000)
    empty.collect = lambda: [("/", 2)]  # type: ignore[method-assign] # a batch without its tasks
    world.delivery.deliver(1_000, empty)
    with pytest.raises((AccountingError, AuditError)):
        world.delivery.finish(1_000)
    assert world.batches.accounted_positions() == {"log-a": 0}


def test_events_are_released_once_nothing_reaches_back_to_them(world: World, log: MemoryLog) -> None:
    for second in range(1, 8):
        log.extend([b"x"])
        world.run(second * 1_000, ("/", 1))
    # The newest batch is at 7 s; what lies behind the batch at 3 s, which ends at offset 3, may go.
    assert log.consumers["c"]["committed"] == 3
