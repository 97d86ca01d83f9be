"""A token bucket for log lines: writes the first lines of a burst and counts the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimit:
    """Allows ``burst`` lines at once and ``per_s`` lines a second on average."""

    def __init__(self, *, per_s: float, burst: int, monotonic_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._monotonic_s = monotonic_s
        self._tokens = float(burst)
        self._refilled_at_s = monotonic_s()
        self._suppressed = 0

    def take(self) -> int | None:
        """Ask to write one line.

        Returns:
            How many lines were suppressed since the last one that was written, or None if this one is suppressed too.
        """
        now_s = self._monotonic_s()
        # Bounded by the burst: a long silence must not save up for a flood.
        self._tokens = min(self._burst, self._tokens + (now_s - self._refilled_at_s) * self._per_s)
        self._refilled_at_s = now_s
        if self._tokens < 1.0:
            self._suppressed += 1
            return None
        self._tokens -= 1.0
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
