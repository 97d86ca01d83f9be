"""Limits repeated work whose cost grows with the table: after it, a pause of nine times its time, but at most 10 s.

Up to a second of work, at most a tenth of the time goes into it. Work that takes longer gets a larger part of the time,
since its result must not become old.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAUSE_PER_WORK = 9
"""After work that took one second, nine seconds pass before it is due again."""
MAX_PAUSE_S = 10.0


class Throttle:
    """Measures how long some work takes and says when it may run again. It is due at once the first time.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_s = 0.0

    def is_due(self) -> bool:
        """Say whether the work may run now."""
        return self._clock() >= self._next_s

    @contextmanager
    def working(self) -> Iterator[None]:
        """Measure the work in the block. Work that fails is due again at once."""
        began_s = self._clock()
        yield
        ended_s = self._clock()
        self._next_s = ended_s + min(MAX_PAUSE_S, PAUSE_PER_WORK * (ended_s - began_s))
