"""Keeps stages alive: a state machine for each stage, and nothing else.

::

                     needs are ready                  is_ready
        waiting ───────────────────► starting ─────────────────────► ready
                                        │  ▲                           │
                 died, or took too long │  │ the pause is over         │ died
                                        ▼  │                           ▼
                                      restarting ◄────────────────────┘
                                        │
        its configuration is refused    │ (exit code 2), or it
        failed and says that no         │ restart can help
                                        ▼
                                     refused: ends the run

The pause before a restart doubles from one second to thirty. A stage that stays ready for a minute starts at one second
again. What a stage is stands in :mod:`headrace.local.stages`. This module does not sleep and gets its clock from the
caller, so every transition can be tested step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from headrace.common.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.errors import StageError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0

State = Literal["waiting", "starting", "ready", "restarting", "stopped", "refused"]


@dataclass(frozen=True)
class Failure:
    """Why a stage does not work, in one sentence; ``final`` is the error that ends the run if no restart can help."""

    text: str
    final: type[StageError] | None = None


class Stage(Protocol):
    """One process of the pipeline. No call may take longer than about a second: the other stages wait for it."""

    @property
    def name(self) -> str:
        """The name in messages."""

    @property
    def start_timeout_s(self) -> float:
        """The stage counts as hung if it is not ready so long after its start."""

    def start(self) -> None:
        """Start the process. A stage that ran before goes on where it was.

        Raises:
            OSError: it cannot be started now; the supervisor tries again.
            HeadraceError: it cannot be started at all; this ends the run.
        """

    def is_ready(self) -> bool:
        """Return whether the stages that need this one can start."""

    def failure(self) -> Failure | None:
        """Return why the stage has ended or cannot work; None while it works."""

    def kill(self) -> None:
        """End what is left of the process at once."""


@dataclass
class Slot:
    """One stage and its state.

    Attributes:
        stage: the stage.
        needs: names of the stages that must be ready before this one starts.
        state: one of the states in the picture above.
        since: when it came into that state, by the supervisor's clock.
        backoff: the pause before the next restart.
        due: when the next restart is due, by the supervisor's clock.
        restarts: how often it was restarted.
        last_failure: the text of its newest failure.
    """

    stage: Stage
    needs: Sequence[str] = ()
    state: State = "waiting"
    since: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S))
    due: float = 0.0
    restarts: int = 0
    last_failure: str = ""


class Supervisor:
    """Takes its stages through the states above, one transition at each :meth:`step`.

    Args:
        slots: the stages, those that others need first.
        clock: returns seconds that only grow.
        say: gets one message for the user at each event.
        changed: called after each change of a state.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        clock: Callable[[], float],
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.slots = {slot.stage.name: slot for slot in slots}
        self._clock = clock
        self._say = say
        self._changed = changed

    @property
    def all_ready(self) -> bool:
        """Whether every stage is ready."""
        return all(slot.state == "ready" for slot in self.slots.values())

    def step(self, only: Sequence[str] | None = None) -> None:
        """Look at every stage, or at those named, once, and do what is due.

        Raises:
            StageRefused: a stage's configuration cannot be used.
            StageFailed: a stage cannot go on, however often it is started.
        """
        for name, slot in self.slots.items():
            if only is None or name in only:
                self._step(slot)

    def release(self, name: str) -> None:
        """Supervise a stage no longer: the caller is going to stop it."""
        self._move(self.slots[name], "stopped")

    def _step(self, slot: Slot) -> None:
        now = self._clock()
        if slot.state == "waiting":
            if all(self.slots[name].state == "ready" for name in slot.needs):
                self._start(slot)
        elif slot.state == "restarting":
            if now >= slot.due:
                self._start(slot)
        elif slot.state in ("starting", "ready"):
            self._check(slot, now)

    def _start(self, slot: Slot) -> None:
        self._move(slot, "starting")
        try:
            slot.stage.start()
        except OSError as error:
            self._fail(slot, Failure(f"could not be started: {error}"))

    def _check(self, slot: Slot, now: float) -> None:
        """Look at a stage whose process was started."""
        failure = slot.stage.failure()
        if failure is not None:
            self._fail(slot, failure)
        elif slot.state == "starting" and slot.stage.is_ready():
            self._move(slot, "ready")
            self._say(f"{slot.stage.name} is ready")
        elif slot.state == "starting" and now - slot.since > slot.stage.start_timeout_s:
            self._fail(slot, Failure(f"was not ready within {slot.stage.start_timeout_s:g} s"))
        elif slot.state == "ready" and now - slot.since > STEADY_S:
            slot.backoff.reset()

    def _fail(self, slot: Slot, failure: Failure) -> None:
        # What is left of the process may hold the ports and locks that the next one needs.
        slot.stage.kill()
        slot.last_failure = failure.text
        if failure.final is not None:
            self._move(slot, "refused")
            raise failure.final(f"the {slot.stage.name} {failure.text}")
        slot.restarts += 1
        pause_s = slot.backoff.take()
        self._say(f"the {slot.stage.name} {failure.text}; starting it again in {pause_s:g} s")
        self._move(slot, "restarting")
        slot.due = slot.since + pause_s

    def _move(self, slot: Slot, state: State) -> None:
        slot.state = state
        slot.since = self._clock()
        self._changed()
