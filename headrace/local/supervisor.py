"""Keeping stages alive: which state a stage is in, and what happens next.

::

                     needs are ready                  is_ready
        waiting ───────────────────► starting ─────────────────────► ready
                                        │  ▲                           │
                 died, or took too long │  │ the pause is over         │ died
                                        ▼  │                           ▼
                                      restarting ◄────────────────────┘
                                        │
                   its configuration is │ refused (exit code 2)
                                        ▼
                                     refused: ends the run, since a new try cannot help

The pause before a new start doubles from one second to thirty; a stage that stays ready for a minute begins anew at one
second. Nothing here knows what a stage is: that is in :mod:`headrace.local.stages`. Nothing here sleeps or reads a
clock of its own, so every transition can be tested step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from headrace.common.retry import Backoff
from headrace.errors import StageRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0

State = Literal["waiting", "starting", "ready", "restarting", "stopped", "refused"]


@dataclass(frozen=True)
class Failure:
    """Why a stage is not what it should be, in one sentence; ``final`` when starting it again is no use."""

    text: str
    final: bool = False


class Stage(Protocol):
    """One process of the pipeline, as the supervisor sees it. No call may take longer than about a second."""

    @property
    def name(self) -> str:
        """The word for it in messages."""

    @property
    def start_timeout_s(self) -> float:
        """The time from start to ready after which it counts as hanging."""

    def start(self) -> None:
        """Start the process; a stage that ran before goes on where it was.

        Raises:
            OSError: it cannot be started now.
            HeadraceError: it cannot be started at all.
        """

    def is_ready(self) -> bool:
        """Say whether the stages that need this one can start."""

    def failure(self) -> Failure | None:
        """Return why the stage is dead or cannot work any more, None while it is well."""

    def kill(self) -> None:
        """End what is left of the process, at once."""


@dataclass
class Slot:
    """One stage and where it stands. ``since`` and ``due`` (of the next start) are times of the supervisor's clock."""

    stage: Stage
    needs: Sequence[str] = ()
    state: State = "waiting"
    since: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S))
    due: float = 0.0
    restarts: int = 0
    last_failure: str = ""


class Supervisor:
    """Takes its stages through the states above, one step at each :meth:`step`."""

    def __init__(
        self,
        slots: Sequence[Slot],
        clock: Callable[[], float],
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """``say`` gets one sentence for people at each event; ``changed`` is called after each change of state."""
        self.slots = {slot.stage.name: slot for slot in slots}
        self._clock = clock
        self._say = say
        self._changed = changed

    @property
    def all_ready(self) -> bool:
        """Whether every stage is ready now."""
        return all(slot.state == "ready" for slot in self.slots.values())

    def step(self, only: Sequence[str] | None = None) -> None:
        """Look at every stage, or at those named, once and do what is due.

        Raises:
            StageRefused: a stage's configuration cannot be used.
        """
        for name, slot in self.slots.items():
            if only is None or name in only:
                self._step(slot)

    def release(self, name: str) -> None:
        """Stop looking after a stage: it is going to be stopped."""
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
        slot.stage.kill()
        slot.last_failure = failure.text
        if failure.final:
            self._move(slot, "refused")
            raise StageRefused(f"the {slot.stage.name} {failure.text}")
        slot.restarts += 1
        pause_s = slot.backoff.take()
        self._say(f"the {slot.stage.name} {failure.text}; starting it again in {pause_s:g} s")
        self._move(slot, "restarting")
        slot.due = slot.since + pause_s

    def _move(self, slot: Slot, state: State) -> None:
        slot.state = state
        slot.since = self._clock()
        self._changed()
