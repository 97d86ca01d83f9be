"""URL counts in windows: the one function that says what the pipeline computes, and the arithmetic of its windows.

A window is ``[start, start + length)`` in UTC; starts are the multiples of the slide counted from the epoch, as Spark's
``window`` function has them. The *pane* is the greatest common divisor of length and slide: no window begins or
ends inside one, so lines of one pane belong to the same windows and may be added up before Spark sees them.

::

    window 6, slide 4, pane 2          0   2   4   6   8   10  12
    window [0, 6)                      |---------|
    window [4, 10)                             |-----------|
    pane   [4, 6) is in both                   |---|

Such a sum still has to carry a time, because Spark derives the watermark from the rows. It is the largest event time of
the lines added: then the watermark is that of the raw lines, and since Spark drops a row by the *end* of its window
and not by its time, the late decision is the same too.
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
    """Return the longest time that no window boundary cuts."""
    return timedelta(milliseconds=gcd(window // MILLISECOND, slide // MILLISECOND))


def count_urls(events: DataFrame, window: timedelta, slide: timedelta, watermark: timedelta) -> DataFrame:
    """Count the requests of each URL in each window; the same for a batch and for a stream.

    Args:
        events: parsed access-log rows, whose malformed ones are left out, or roll-up rows (``hits``, ``bytes`` and
            ``errors`` per ``time`` and ``url``), whose panes must be cut at :func:`pane` or finer.
        window: length of a window.
        slide: distance between the starts of two windows; equal to ``window`` for windows that do not overlap.
        watermark: how far behind the newest event time a line may be and still be counted.

    Returns:
        window_start and window_end (timestamp), url (string), hits, bytes and errors (long).
    """
    rolled_up = "hits" in events.columns
    lines = events if rolled_up else _one_hit_each(events)
    return (
        lines.withWatermark("time", spark_interval(watermark))
        .groupBy(F.window("time", spark_interval(window), spark_interval(slide)), "url")
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
    """Give each parsed line the columns of a roll-up row."""
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
    """Length, slide and watermark that fit together: the length is a whole multiple of the slide.

    Spark would take other pairs as well. But then some lines fall into one window more than others, and how many lines
    were counted cannot be told from the sum of the counts, which is what the accounting compares.

    Raises:
        OptionError: they do not fit; the text says why.
    """

    length: timedelta
    slide: timedelta
    watermark: timedelta

    def __post_init__(self) -> None:
        if self.slide > self.length:
            raise OptionError(
                f"slide {format_duration(self.slide)} is longer than window {format_duration(self.length)}: "
                "lines between two windows would be in none; make the slide at most the window"
            )
        if self.length % self.slide:
            raise OptionError(
                f"window {format_duration(self.length)} is not a whole multiple of slide "
                f"{format_duration(self.slide)}: some lines would be in more windows than others, "
                "and the sum could not be checked; "
                f"try slide {format_duration(pane(self.length, self.slide))}"
            )

    @property
    def per_line(self) -> int:
        """Return how many windows each line is in."""
        return self.length // self.slide

    @property
    def pane(self) -> timedelta:
        """Return the longest time that no window boundary cuts."""
        return pane(self.length, self.slide)

    def open_for(self, pane_start_us: int, watermark_us: int) -> int:
        """Return how many of the windows over a pane are still open, that is, end after the watermark."""
        slide_us = self.slide // MICROSECOND
        last_end_us = pane_start_us - pane_start_us % slide_us + self.length // MICROSECOND
        if watermark_us >= last_end_us:
            return 0
        return min(self.per_line, (last_end_us - watermark_us - 1) // slide_us + 1)
