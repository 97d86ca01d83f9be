"""A token bucket for log lines: the first few of a burst are written, the rest are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimit:
    """Allows ``burst`` lines at once and ``per_s`` on average."""

    def __init__(self, *, per_s: float, burst: int, monotonic_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._monotonic_s = monotonic_s
        self._tokens = float(burst)
        self._at_s = monotonic_s()
        self._suppressed = 0

    def take(self) -> int | None:
        """Return how many lines were left out since the last one, or nothing when this one is to be left out too."""
        now_s = self._monotonic_s()
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens < 1.0:
            self._suppressed += 1
            return None
        self._tokens -= 1.0
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
