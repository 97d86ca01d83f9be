"""Batches of DStream jobs are stored once: whatever is killed, rows and account are of the same events."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.jobs import running_totals, status_per_batch, url_counts_dstream
from tests.support.deliveries import DeliveryWorld
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spark_job.runner.dstreams.job import DStreamJob

KILLS = ("", "before", "inside", "after", "cleaning")
LOGS = count()


@dataclass(frozen=True)
class Step:
    """One batch.

    Attributes:
        events: how many come before it.
        kill: where the job is killed that runs it; empty: nowhere.
        again: how many stored batches run again after the kill.
        recovers: whether Spark's checkpoint outlives the kill.
    """

    events: int
    kill: str
    again: int
    recovers: bool


steps = st.lists(
    st.builds(
        Step,
        events=st.integers(0, 3),
        kill=st.sampled_from(KILLS),
        again=st.integers(0, 2),
        recovers=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def bridge() -> Iterator[FlightDouble]:
    with FlightDouble(MemoryLog()) as opened:
        yield opened


def killed(*_: object, **__: object) -> None:
    raise RuntimeError("killed here")


def kill_at(world: DeliveryWorld, place: str) -> None:
    """Let the next batch of a world end at a place."""
    delivery, table = world.delivery, world.results.table
    if place == "before":
        world.results.record = killed  # type: ignore[assignment,method-assign]
    elif place == "inside":
        put = table._put

        def put_and_die(*given: Any, **options: Any) -> None:
            put(*given, **options)
            killed()

        table._put = put_and_die  # type: ignore[method-assign]
    elif place == "after":
        world.planner.note_stored = killed  # type: ignore[method-assign]
    elif place == "cleaning":
        delivery._dead_letters.clear_audit = killed  # type: ignore[assignment,method-assign]


class Run:
    """A job that is killed and started again; a clock that gives each new batch the next second."""

    def __init__(self, root: Path, bridge: FlightDouble, job: DStreamJob, result_of: ResultOf, slide: int) -> None:
        self._root, self._bridge, self._job, self._result_of, self._slide = root, bridge, job, result_of, slide
        self._now_s = 0
        self._open(recovers=True)

    def _open(self, *, recovers: bool) -> None:
        self._opened = ExitStack()
        self.world = DeliveryWorld(self._root, self._bridge, self._opened, self._job, recovers=recovers)

    def batch(self, step: Step) -> None:
        """Run one batch, and after a kill what Spark runs again."""
        self._bridge.log.extend([b"x"] * step.events)
        self._now_s += 1
        kill_at(self.world, step.kill)
        if not step.kill:
            self._run(self._now_s)
            return
        if self._now_s % self._slide:
            # Between two slides nothing is stored, so the kill comes after the batch.
            self._run(self._now_s)
        else:
            with pytest.raises(RuntimeError, match="killed here"):
                self._run(self._now_s)
        self._opened.close()
        # The checkpoint of a state is never outdated.
        recovers = step.recovers or self._job.kind == "state"
        self._open(recovers=recovers)
        if recovers:
            for plan in self.world.plans.between((self._now_s - 1 - step.again) * 1000, self._now_s * 1000):
                self._run(plan.time_ms // 1000)

    def _run(self, second: int) -> None:
        time_ms = second * 1000
        self.world.planner.plan(time_ms)
        if second % self._slide:
            # Its tasks run with those of the next result; that they run now changes nothing.
            self.world.read(time_ms)
        else:
            rows = self._result_of(self.world, time_ms)
            self.world.delivery.deliver(time_ms, self.world.rdd(time_ms, *rows))
        self.world.delivery.finish(time_ms)

    def end(self) -> int:
        """Let everything be stored; return how many events the results hold."""
        while self._now_s % self._slide or self.world.delivery.positions.get(self._bridge.log.log_id, 0) < len(
            self._bridge.log.bodies
        ):
            self.batch(Step(0, "", 0, recovers=True))
        assert self.world.delivery.tally.balanced
        assert not list(self.world.folder.audit.rglob("*.json"))
        self._opened.close()
        return self.world.delivery.tally.read


def events_of(world: DeliveryWorld, time_ms: int) -> int:
    return sum(log_range.events for log_range in world.planner.plan(time_ms).ranges)


def batch_result(world: DeliveryWorld, time_ms: int) -> list[tuple[Any, ...]]:
    events = events_of(world, time_ms)
    return [("bot", 200, events)] if events else []


def state_result(world: DeliveryWorld, time_ms: int) -> list[tuple[Any, ...]]:
    ends = world.planner.plan(time_ms).ends
    return [("/", sum(ends.values()), 0)]


def window_result(world: DeliveryWorld, time_ms: int) -> list[tuple[Any, ...]]:
    """Return the events of two batches, in windows that do not overlap."""
    events = sum(events_of(world, plan.time_ms) for plan in world.plans.between(time_ms - 2000, time_ms))
    return [("/", events)] if events else []


if TYPE_CHECKING:
    ResultOf = Callable[[DeliveryWorld, int], list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("job", "result_of", "slide"),
    [
        (status_per_batch.JOB, batch_result, 1),
        (running_totals.JOB.dstream, state_result, 1),
        (url_counts_dstream.JOB, window_result, 2),
    ],
    ids=["batch", "state", "window"],
)
@settings(max_examples=20, deadline=None)
@given(given_steps=steps)
def test_every_event_is_in_the_rows_and_in_the_sum_once(
    bridge: FlightDouble, job: DStreamJob, result_of: ResultOf, slide: int, given_steps: list[Step]
) -> None:
    bridge.log = MemoryLog(log_id=f"log-{next(LOGS)}")
    with TemporaryDirectory() as root:
        run = Run(Path(root), bridge, job, result_of, slide)
        for step in given_steps:
            run.batch(step)
        expected = len(bridge.log.bodies)
        assert run.end() == expected
        hits = [row["hits"] for row in run.world.rows()]
        assert sum(hits) == expected or job.kind == "state"
        assert hits[-1:] == [expected] or job.kind != "state"
