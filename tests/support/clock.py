"""A clock for tests of what takes or limits time."""

from __future__ import annotations


class Clock:
    """Monotonic seconds: they pass by a given step at each look, and where a test adds to ``now_s``."""

    def __init__(self, step_s: float = 0.0, now_s: float = 0.0) -> None:
        self.step_s = step_s
        self.now_s = now_s

    def __call__(self) -> float:
        """Return the present, after the step."""
        self.now_s += self.step_s
        return self.now_s
