"""Finds out which lines are late: applies Spark's rule to the audit.

Let ``T(n)`` be the watermark in the plan of micro-batch ``n``. Spark uses two watermarks in one micro-batch:

==================================================================  ===========  =========================
while micro-batch ``n`` runs, Spark                                 compares by  and so acts on windows of
==================================================================  ===========  =========================
first drops the late rows                                           ``T(n-1)``   ``window_end <= T(n-1)``
then, with the other rows counted, removes windows from its state   ``T(n)``     ``window_end <= T(n)``
==================================================================  ===========  =========================

A window that ends between the two therefore takes rows one last time. Chained stateful operators need two watermarks
(``spark.sql.streaming.statefulOperator.allowMultiple``, which is on by default); Spark 4.3.0 uses both with a single
operator too. Micro-batch 0 has no predecessor: its rows are compared with a watermark of 0, the epoch. All of this was
found by experiment, and ``tests/spark_job/accounting/test_lateness_in_spark.py`` repeats the experiment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from headrace.common.durations import MICROSECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

WATERMARK_OF_BATCH_0_MS: Final = 0


class Lateness(Protocol):
    """How a query decides which lines are late; :class:`spark_job.windows.Windows` is the usual implementation."""

    @property
    def pane(self) -> timedelta:
        """The granularity of the audit: either all lines of a pane are late for a window, or none is."""

    @property
    def per_line(self) -> int:
        """How many windows (or other results) a line is in."""

    def open_for(self, pane_start_us: int, watermark_us: int) -> int:
        """Return how many windows of a pane can still change at a watermark."""


@dataclass(frozen=True)
class SessionLateness:
    """Sessions: a line alone is a session that ends ``gap`` later, and is late once the watermark is past that end."""

    gap: timedelta
    pane: timedelta = MICROSECOND
    per_line: int = 1

    def open_for(self, pane_start_us: int, watermark_us: int) -> int:
        """Return 1 while the line can still begin or join a session, else 0."""
        # Above, not at or above: Spark closes a window whose end equals the watermark.
        return int(pane_start_us + self.gap // MICROSECOND > watermark_us)


@dataclass(frozen=True)
class NeverLate:
    """A query without a watermark: no line is late."""

    # Any length would do, since no pane is ever compared. A long one keeps the audit files small.
    pane: timedelta = timedelta(hours=1)
    per_line: int = 1

    def open_for(self, _pane_start_us: int, _watermark_us: int) -> int:
        """Return 1: nothing closes."""
        return 1


def late_and_missed(panes: Mapping[int, int], lateness: Lateness, watermark_us: int) -> tuple[int, int]:
    """Return how many lines are late, and how many windows the other lines missed.

    Args:
        panes: number of lines by the start of their pane, in microseconds since the epoch.
        lateness: the rule of the query.
        watermark_us: the watermark by which Spark drops late rows: that of the micro-batch *before*.
    """
    late = missed = 0
    for pane_start_us, lines in panes.items():
        still_open = lateness.open_for(pane_start_us, watermark_us)
        if still_open:
            # Counted in the newer windows, too late for the older ones: tally.py subtracts these pairs from the hits.
            missed += (lateness.per_line - still_open) * lines
        else:
            late += lines
    return late, missed
