"""The states of a supervised stage, step by step under a clock that the test turns."""

from __future__ import annotations

import pytest

from headrace.errors import StageRefused
from headrace.local.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Failure, Slot, Supervisor


class ScriptedStage:
    """A stage that does what the test says next."""

    start_timeout_s = 10.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.starts = 0
        self.kills = 0
        self.ready = False
        self.trouble: Failure | None = None
        self.start_error: OSError | None = None

    def start(self) -> None:
        self.starts += 1
        self.ready = False
        self.trouble = None
        if self.start_error is not None:
            raise self.start_error

    def is_ready(self) -> bool:
        return self.ready

    def failure(self) -> Failure | None:
        return self.trouble

    def kill(self) -> None:
        self.kills += 1


class Bench:
    """Two stages, the second of which needs the first, with a clock and what was said."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.changes = 0
        self.first = ScriptedStage("bridge")
        self.second = ScriptedStage("agent")
        slots = [Slot(self.first), Slot(self.second, needs=("bridge",))]
        self.supervisor = Supervisor(slots, lambda: self.now, self.said.append, self._count)

    def _count(self) -> None:
        self.changes += 1

    def state(self, name: str) -> str:
        return self.supervisor.slots[name].state

    def all_ready(self) -> bool:
        return self.supervisor.all_ready

    def make_ready(self) -> None:
        self.supervisor.step()
        self.first.ready = True
        self.supervisor.step()
        self.second.ready = True
        self.supervisor.step()


def test_a_stage_starts_only_when_what_it_needs_is_ready() -> None:
    bench = Bench()
    bench.supervisor.step()
    bench.supervisor.step()
    assert (bench.first.starts, bench.second.starts) == (1, 0)
    bench.first.ready = True
    bench.supervisor.step()
    assert (bench.state("bridge"), bench.state("agent")) == ("ready", "starting")
    assert bench.all_ready() is False
    bench.second.ready = True
    bench.supervisor.step()
    assert bench.all_ready() is True
    assert bench.said == ["bridge is ready", "agent is ready"]
    assert bench.changes == 4


def test_a_dead_stage_is_started_again_after_a_pause_that_doubles_up_to_its_bound() -> None:
    bench = Bench()
    bench.make_ready()
    pauses = []
    for _ in range(8):
        bench.first.trouble = Failure("died")
        bench.supervisor.step(["bridge"])
        died = bench.now
        starts = bench.first.starts
        while bench.first.starts == starts:
            bench.now += 0.25
            bench.supervisor.step(["bridge"])
        pauses.append(bench.now - died)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert bench.first.kills == 8
    assert bench.supervisor.slots["bridge"].restarts == 8
    assert "the bridge died; starting it again in 4 s" in bench.said


def test_a_stage_that_stays_ready_begins_anew_with_the_short_pause() -> None:
    bench = Bench()
    bench.make_ready()
    bench.first.trouble = Failure("died")
    bench.supervisor.step(["bridge"])
    assert bench.supervisor.slots["bridge"].backoff.next_s == 2 * FIRST_PAUSE_S
    bench.now += FIRST_PAUSE_S
    bench.supervisor.step(["bridge"])
    bench.first.ready = True
    bench.supervisor.step(["bridge"])
    bench.now += STEADY_S + 1
    bench.supervisor.step(["bridge"])
    assert bench.supervisor.slots["bridge"].backoff.next_s == FIRST_PAUSE_S


def test_a_stage_that_never_gets_ready_is_killed_and_started_again() -> None:
    bench = Bench()
    bench.supervisor.step()
    bench.now += ScriptedStage.start_timeout_s + 1
    bench.supervisor.step()
    assert bench.first.kills == 1
    assert bench.state("bridge") == "restarting"
    assert "was not ready within 10 s" in bench.said[-1]


def test_a_start_that_fails_counts_like_a_death() -> None:
    bench = Bench()
    bench.first.start_error = OSError("no memory")
    bench.supervisor.step()
    assert bench.state("bridge") == "restarting"
    assert "could not be started: no memory" in bench.said[-1]


def test_a_refused_configuration_ends_the_run_without_another_try() -> None:
    bench = Bench()
    bench.supervisor.step()
    bench.first.trouble = Failure("refused its configuration", final=StageRefused)
    with pytest.raises(StageRefused, match="the bridge refused its configuration"):
        bench.supervisor.step()
    bench.now += 1000
    bench.supervisor.step()
    assert bench.first.starts == 1
    assert bench.state("bridge") == "refused"


def test_a_released_stage_is_left_alone() -> None:
    bench = Bench()
    bench.make_ready()
    bench.supervisor.release("agent")
    bench.second.trouble = Failure("exited")
    bench.now += 100
    bench.supervisor.step()
    assert bench.second.starts == 1
    assert bench.state("agent") == "stopped"


def test_only_the_named_stages_are_looked_at() -> None:
    bench = Bench()
    bench.make_ready()
    bench.first.trouble = Failure("died")
    bench.supervisor.step(["agent"])
    assert bench.state("bridge") == "ready"
