"""Delivery of batches: stored with their account, released last; and no batch passes one that failed."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import AccountingError, AuditError, JobFolderError
from spark_job.jobs import running_totals, status_per_batch, url_counts_dstream
from spark_job.runner.progress import NewestBatch
from tests.support.deliveries import NOW, OPTIONS, DeliveryWorld
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spark_job.runner.dstreams.job import DStreamJob

JOB, PER_BATCH = url_counts_dstream.JOB, status_per_batch.JOB


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(log_id="log-a")


@pytest.fixture
def world(tmp_path: Path, log: MemoryLog) -> Iterator[DeliveryWorld]:
    with FlightDouble(log) as bridge, ExitStack() as opened:
        yield DeliveryWorld(tmp_path, bridge, opened, JOB)


def test_a_batch_is_stored_with_its_lines(world: DeliveryWorld, log: MemoryLog) -> None:
    log.extend([b"x"] * 4)
    world.planner.plan(1_000)
    world.delivery.deliver(1_000, world.rdd(1_000, ("/", 4)))
    assert world.stored() == {1: {"/": 4}}
    assert (world.delivery.tally.read, world.delivery.tally.counted, world.delivery.positions) == (4, 4, {"log-a": 4})
    assert world.results.table.positions() == {"log-a": 4}
    assert not list(world.folder.audit.rglob("*.json")), "what is stored needs no audit"
    seen = [world.delivery.newest]
    world.delivery.finish(1_000)
    seen.append(world.delivery.newest)
    assert seen == [None, NewestBatch(1_000, NOW)]


def test_a_batch_that_runs_again_changes_nothing(world: DeliveryWorld, log: MemoryLog) -> None:
    log.extend([b"x"] * 4)
    world.run(1_000, ("/", 4))
    world.run(1_000, ("/", 99))
    assert world.stored() == {1: {"/": 4}}
    assert world.delivery.tally.read == 4


def test_the_lines_of_a_batch_between_two_slides_are_stored_with_the_next_result(
    world: DeliveryWorld, log: MemoryLog
) -> None:
    log.extend([b"x"] * 2)
    world.read(1_000)
    world.delivery.finish(1_000)
    assert world.delivery.tally.read == 0, "its lines are in no stored result"
    log.extend([b"x"] * 3)
    world.run(2_000, ("/", 5))
    assert (world.delivery.tally.read, world.delivery.tally.balanced) == (5, True)
    assert world.stored() == {2: {"/": 5}}


def test_no_batch_passes_one_that_failed(world: DeliveryWorld, log: MemoryLog) -> None:
    log.extend([b"x"] * 2)
    world.planner.plan(1_000)
    with pytest.raises(RuntimeError, match="killed here"):
        world.delivery.deliver(1_000, world.rdd(1_000, fails=True))
    with pytest.raises(RuntimeError, match="killed here"):
        world.delivery.finish(1_000)
    with pytest.raises(RuntimeError, match="killed here"):
        world.run(2_000, ("/", 2))
    assert (world.delivery.tally.read, str(world.delivery.failure)) == (0, "killed here")


def test_a_batch_whose_audit_is_missing_is_not_stored(world: DeliveryWorld, log: MemoryLog) -> None:
    log.extend([b"x"] * 2)
    world.planner.plan(1_000)
    empty = world.rdd(1_000)
    empty.collect = lambda: [("/", 2)]  # type: ignore[method-assign] # a batch without its tasks
    with pytest.raises((AccountingError, AuditError)):
        world.delivery.deliver(1_000, empty)
    assert (world.stored(), world.results.table.positions()) == ({}, {})


def test_events_are_released_once_nothing_reaches_back_to_them(world: DeliveryWorld, log: MemoryLog) -> None:
    horizon_s = OPTIONS.intervals.horizon // timedelta(seconds=1)
    for second in range(1, horizon_s + 5):
        log.extend([b"x"])
        world.run(second * 1_000, ("/", 1))
    # What lies behind the batch of one horizon ago, which ends at offset 4, may go.
    assert log.consumers["c"]["committed"] == 3


@pytest.mark.parametrize(("job", "waits"), [(JOB, True), (running_totals.JOB.dstream, True), (PER_BATCH, False)])
def test_a_result_waits_for_the_first_checkpoint_if_new_streams_would_need_its_events(
    tmp_path: Path, log: MemoryLog, job: DStreamJob, *, waits: bool
) -> None:
    log.extend([b"x"])
    row = {"window": ("/", 1), "state": ("/", 1, 10), "batch": ("bot", 200, 1)}[job.kind]
    with FlightDouble(log) as bridge, ExitStack() as opened:
        world = DeliveryWorld(tmp_path, bridge, opened, job)
        world.checkpoint_file.unlink()
        world.planner.plan(1_000)
        delivering = Thread(target=world.delivery.deliver, args=(1_000, world.rdd(1_000, row)))
        delivering.start()
        delivering.join(0.3 if waits else 10)
        assert delivering.is_alive() == waits
        assert len(world.stored()) == (not waits)
        world.checkpoint_file.touch()
        delivering.join(10)
        assert len(world.stored()) == 1


def test_a_results_table_that_was_lost_or_replaced_by_an_older_copy_is_refused(tmp_path: Path, log: MemoryLog) -> None:
    counts = tmp_path / "counts.db"
    copies = []
    with FlightDouble(log) as bridge:
        for second in (1, 2):
            with ExitStack() as opened:
                world = DeliveryWorld(tmp_path, bridge, opened, JOB)
                log.extend([b"x"])
                world.run(second * 1_000, ("/", 1))
            copies.append(counts.read_bytes())
        counts.write_bytes(copies[0])
        with ExitStack() as opened:
            world = DeliveryWorld(tmp_path, bridge, opened, JOB)
            with pytest.raises(AccountingError, match="the audit files end at offset 1, the micro-batch ends at 2"):
                world.run(3_000, ("/", 1))
            assert world.stored() == {1: {"/": 1}}
        counts.unlink()
        with ExitStack() as opened, pytest.raises(JobFolderError, match=r"was counts\.db lost or replaced"):
            DeliveryWorld(tmp_path, bridge, opened, JOB)
        counts.write_bytes(copies[1])
        with ExitStack() as opened:
            world = DeliveryWorld(tmp_path, bridge, opened, JOB)
            world.run(3_000, ("/", 1))
            assert world.stored() == {second: {"/": 1} for second in (1, 2, 3)}
