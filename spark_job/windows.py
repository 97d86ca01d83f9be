"""URL counts in windows: the function that computes them, and the arithmetic of its windows.

A window is ``[start, start + length)`` in UTC. Windows start at the multiples of the slide, counted from the epoch, as
in Spark's ``window`` function. The *pane* is the greatest common divisor of length and slide: no window begins or ends
inside a pane, so all lines of a pane belong to the same windows, and may be added up before Spark sees them.

::

    window 6, slide 4, pane 2          0   2   4   6   8   10  12
    window [0, 6)                      |---------|
    window [4, 10)                             |-----------|
    pane   [4, 6) is in both                   |---|

Such a sum still needs a time, because Spark derives the watermark from the rows. It has the largest event time of its
lines: so the watermark is the same as with the lines. And since Spark drops a row by the *end* of its window, not by
the row's time, the same lines are late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import gcd
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from headrace.common.durations import MICROSECOND, MILLISECOND, format_duration, spark_interval
from spark_job.errors import OptionError
from spark_job.http_status import FIRST_ERROR_STATUS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def pane(window: timedelta, slide: timedelta) -> timedelta:
    """Return the longest stretch of time that no window boundary cuts."""
    return timedelta(milliseconds=gcd(window // MILLISECOND, slide // MILLISECOND))


def count_urls(events: DataFrame, window: timedelta, slide: timedelta, watermark: timedelta | None = None) -> DataFrame:
    """Count the requests of each URL in each window, for a batch or a stream.

    Args:
        events: parsed access-log rows, of which malformed ones are left out; or roll-up rows (``hits``, ``bytes`` and
            ``errors`` per ``time`` and ``url``) whose panes are those of :func:`pane`, or divide them.
        window: length of a window.
        slide: distance between the starts of two windows; equal to ``window`` for windows that do not overlap.
        watermark: how far a line may be behind the newest event time and still be counted. None: every line is, and
            a streaming query keeps all windows for ever; for batches, and for the batches of ``foreachBatch``.

    Returns:
        window_start and window_end (timestamp), url (string), hits, bytes and errors (long).
    """
    rolled_up = "hits" in events.columns
    lines = events if rolled_up else _one_hit_each(events)
    if watermark is not None:
        lines = lines.withWatermark("time", spark_interval(watermark))
    return (
        lines.groupBy(F.window("time", spark_interval(window), spark_interval(slide)), "url")
        .agg(F.sum("hits").alias("hits"), F.sum("bytes").alias("bytes"), F.sum("errors").alias("errors"))
        .select(
            F.col("window.start").alias("window_start"),
            F.col("window.end").alias("window_end"),
            "url",
            "hits",
            "bytes",
            "errors",
        )
    )


def _one_hit_each(lines: DataFrame) -> DataFrame:
    """Return each parsed line as a roll-up row with one hit."""
    is_error = F.coalesce(F.col("status") >= FIRST_ERROR_STATUS, F.lit(False))
    parsed = lines.where(F.col("error").isNull()) if "error" in lines.columns else lines
    return parsed.select(
        "time",
        "url",
        F.lit(1).cast("long").alias("hits"),
        F.coalesce("bytes", F.lit(0)).cast("long").alias("bytes"),
        is_error.cast("long").alias("errors"),
    )


@dataclass(frozen=True)
class Windows:
    """Length and slide of windows, and a watermark if there is one; the length is a whole multiple of the slide.

    Spark accepts other pairs too. But then some lines are in one window more than others, and the sum of the counts
    does not tell how many lines were counted, which is what the accounting compares.

    Raises:
        OptionError: length and slide do not fit; the text says why.
    """

    length: timedelta
    slide: timedelta
    watermark: timedelta | None = None

    def __post_init__(self) -> None:
        if self.slide > self.length:
            raise OptionError(
                f"slide {format_duration(self.slide)} is longer than window {format_duration(self.length)}: "
                "lines between two windows would be in neither; make the slide at most the window"
            )
        if self.length % self.slide:
            raise OptionError(
                f"window {format_duration(self.length)} is not a whole multiple of slide "
                f"{format_duration(self.slide)}: some lines would be in more windows than others, "
                "so the sum of the counts could not be checked; "
                f"try slide {format_duration(pane(self.length, self.slide))}"
            )

    @property
    def per_line(self) -> int:
        """Number of windows that each line is in."""
        return self.length // self.slide

    @property
    def pane(self) -> timedelta:
        """The longest stretch of time that no window boundary cuts."""
        return pane(self.length, self.slide)

    def open_for(self, pane_start_us: int, watermark_us: int) -> int:
        """Return how many of a pane's windows are still open: these end after the watermark."""
        # The ends of the pane's windows are last_end, last_end - slide, ..., per_line of them.
        slide_us = self.slide // MICROSECOND
        last_end_us = pane_start_us - pane_start_us % slide_us + self.length // MICROSECOND
        if watermark_us >= last_end_us:
            return 0
        # Minus one, because a window that ends exactly at the watermark is closed.
        return min(self.per_line, (last_end_us - watermark_us - 1) // slide_us + 1)

    def open_from_us(self, closed_before_us: int) -> int:
        """Return where the oldest pane starts that has an open window, if those that end by an instant are closed."""
        # The newest window of a pane starts at the multiple of the slide before the pane.
        slide_us = self.slide // MICROSECOND
        return ((closed_before_us - self.length // MICROSECOND) // slide_us + 1) * slide_us
