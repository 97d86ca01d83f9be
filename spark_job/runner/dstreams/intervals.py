"""Batch interval, window and slide: which combinations are valid, and which batches a result covers.

::

    batch 1 s, window 3 s, slide 2 s          time   1   2   3   4   5   6   7   8
    batches                                          .   .   .   .   .   .   .   .
    result at 2 covers batches (0) 1 2       ...-----|
    result at 4 covers batches 2 3 4                 |-----------|
    result at 6 covers batches 4 5 6                         |-----------|

A batch is named by its end: the batch at 4 holds the events that arrived between 3 and 4. Window and slide are whole
numbers of batches. A result comes with every slide, counted from the start of the stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from headrace.common.durations import MILLISECOND, format_duration
from spark_job.errors import OptionError

RDD_CHECKPOINT = timedelta(seconds=10)
"""Spark writes windows and states to disk this often, or with every slide if the slide is longer."""


@dataclass(frozen=True)
class Intervals:
    """A batch interval, a window and a slide that fit together.

    Raises:
        OptionError: they do not fit together; the text says why, and which lengths would.
    """

    batch: timedelta
    window: timedelta
    slide: timedelta

    def __post_init__(self) -> None:
        for option, length in (("--window", self.window), ("--slide", self.slide)):
            if length % self.batch:
                whole = max(length // self.batch, 1) * self.batch
                raise OptionError(
                    f"{option} {format_duration(length)} is not a whole number of batches of "
                    f"{format_duration(self.batch)}: a window of Spark holds whole batches; use "
                    f"{format_duration(whole)} or {format_duration(whole + self.batch)}, or another --batch-interval"
                )
        if self.slide > self.window:
            raise OptionError(
                f"--slide {format_duration(self.slide)} is longer than --window {format_duration(self.window)}: "
                "batches between two windows would be in no window; make --slide shorter"
            )

    @property
    def reach(self) -> timedelta:
        """How far back a result needs batches: with an inverse function those that leave the window are subtracted."""
        return self.window + self.slide

    @property
    def horizon(self) -> timedelta:
        """How far behind the newest stored batch a recovery may ask for batches.

        The newest window or state on disk is at most two of Spark's checkpoint intervals old. Batches that have left
        the window since then are subtracted from it, and these are as old as the window is long. The rest is a margin.
        """
        return self.reach + 3 * max(RDD_CHECKPOINT, self.slide) + 10 * self.batch

    def covered(self, time_ms: int) -> list[int]:
        """Return the batch times, in milliseconds, that the result of a batch time covers."""
        batch_ms = self.batch // MILLISECOND
        return list(range(time_ms - self.window // MILLISECOND + batch_ms, time_ms + 1, batch_ms))


def seconds(length: timedelta) -> int:
    """Return a length in seconds such that pyspark, which truncates to milliseconds, keeps every millisecond.

    pyspark's annotations allow whole seconds only, but its code takes fractions, so the result may be one.
    """
    milliseconds = length // MILLISECOND
    exact = milliseconds / 1000
    # 0.57 * 1000 is 569.99..., which pyspark would truncate to 569; the next larger float is safe.
    return cast("int", exact if int(exact * 1000) == milliseconds else math.nextafter(exact, math.inf))
