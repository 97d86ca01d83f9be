"""Pauses between tries: each twice as long as the one before, up to a longest.

Only the pause is here. When to give up, and what counts as progress, differs from caller to caller, and so does the
clock that a test puts in its place.
"""

from __future__ import annotations


class Backoff:
    """Gives the pause before the next try.

    Args:
        first_s: the first pause, in seconds.
        longest_s: no pause is longer.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    @property
    def next_s(self) -> float:
        """The pause that :meth:`take` would return."""
        return self._next_s

    def take(self) -> float:
        """Return the pause before the next try; the one after it is twice as long."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the first pause again: there was progress."""
        self._next_s = self._first_s
