"""Tells how the newest run of a state folder ended, stopped in order or killed, for ``status`` after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from headrace.state_folder import RunRecord


@dataclass(frozen=True)
class RunEnd:
    """The end of a run. Times are ISO 8601 in UTC.

    Attributes:
        began: when the run was started.
        stopped: when all its stages had been stopped in order; empty if it was killed.
        uncounted: lines that channel and bridge keep for the next start; None: not known.
        lost: lines that were in a memory channel.
        failed: the stages that did not work when the run was stopped, each with the reason.
    """

    began: str
    stopped: str = ""
    uncounted: int | None = None
    lost: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunRecord) -> Self:
        """Return the end of a run that goes on no more."""
        failed = {name: run.stages[name].last_fault for name in run.failed}
        return cls(run.started, run.stopped, run.uncounted, run.lost, failed)

    def text(self, spool_files: int) -> str:
        """Return one sentence: when the run stopped, and what waits for the next start.

        Args:
            spool_files: files that wait in the spool folder now.
        """
        if not self.stopped:
            return ""
        waiting = []
        if spool_files:
            waiting.append(f"{spool_files:,} {'file' if spool_files == 1 else 'files'} in the spool folder")
        if self.uncounted is None:
            waiting.append("lines whose number is not known")
        elif self.uncounted:
            waiting.append(f"{self.uncounted:,} lines")
        if not waiting:
            return f"stopped at {self.stopped}, everything counted"
        return f"stopped at {self.stopped}; the next start counts what waits: {', '.join(waiting)}"

    def problems(self) -> list[str]:
        """Return what went wrong, one sentence each; nothing after a stop in order."""
        if not self.stopped:
            return [f"the run that began at {self.began} was killed; the next start goes on where it was"]
        found = [f"the {name} did not work when the run was stopped: it {why}" for name, why in self.failed.items()]
        if self.lost:
            found.append(f"the run was stopped in a hurry: {self.lost:,} lines in the memory channel are lost")
        return found
