"""Retention: which windows of the results table are closed, by ``--keep`` and by ``--max-rows``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.common.durations import MICROSECOND
from headrace.common.text import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta


@dataclass(frozen=True)
class Retention:
    """Which windows are closed, oldest first: beyond an age, beyond a number of rows. None: no limit of that kind.

    The age is counted from the present, not from the newest line: one line dated in the future closes nothing.
    The newest window is never closed by the number of rows.
    """

    age: timedelta | None = None
    max_rows: int | None = None

    def excess_rows(self, rows: int) -> int:
        """Return how many rows a table of ``rows`` has too many."""
        return 0 if self.max_rows is None else max(rows - self.max_rows, 0)

    def too_old_us(self, now: datetime) -> int | None:
        """Return the instant at which windows end that are just too old; None without a limit."""
        return None if self.age is None else (now - EPOCH - self.age) // MICROSECOND

    @staticmethod
    def end_of_excess_us(excess_rows: int, windows: Iterable[tuple[int, int]]) -> int | None:
        """Return where the newest of the windows ends that are closed to make room; None if none is.

        Args:
            excess_rows: how many rows are too many.
            windows: end and number of rows of each window of the table, the oldest first.
        """
        end_us = None
        for window_end_us, rows in list(windows)[:-1]:
            if excess_rows <= 0:
                break
            excess_rows, end_us = excess_rows - rows, window_end_us
        return end_us
