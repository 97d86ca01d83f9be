"""Counts parsed lines per pane and URL, before Spark sees them.

A pane is a stretch of time that no window boundary cuts, so all lines of a pane belong to the same windows. Each sum
carries the largest time of its lines: Spark's watermark is then the same as with the lines themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.common.durations import MICROSECOND
from spark_job.http_status import FIRST_ERROR_STATUS
from spark_job.parse.schema import TIME_TYPE

if TYPE_CHECKING:
    from datetime import timedelta

SCHEMA: dict[str, pl.DataType] = {
    "time": TIME_TYPE,
    "url": pl.String(),
    "hits": pl.Int64(),
    "bytes": pl.Int64(),
    "errors": pl.Int64(),
}
"""The columns of a roll-up."""


def roll_up(lines: pl.DataFrame, pane: timedelta) -> pl.DataFrame:
    """Return the sums of parsed lines per pane and URL.

    Args:
        lines: ``time`` (Datetime us), ``url``, ``status``, ``bytes``, ``error``; malformed lines are left out.
        pane: length of a pane; panes start at its multiples, counted from the epoch.

    Returns:
        ``time`` (the largest time of the lines), ``url``, ``hits``, ``bytes`` and ``errors`` (status 400 or higher),
        the last three as Int64. The rows have no particular order.
    """
    return (
        _parsed(lines)
        .group_by(_pane_start(pane).alias("pane"), "url")
        .agg(
            pl.col("time").max(),
            pl.len().cast(pl.Int64).alias("hits"),
            pl.col("bytes").sum().cast(pl.Int64),
            (pl.col("status") >= FIRST_ERROR_STATUS).sum().cast(pl.Int64).alias("errors"),
        )
        .select(*SCHEMA)
    )


def add_up(parts: list[pl.DataFrame], pane: timedelta) -> pl.DataFrame:
    """Return the sum of several roll-ups; an empty roll-up if ``parts`` is empty."""
    sums = pl.concat([pl.DataFrame(schema=SCHEMA), *parts]).group_by(_pane_start(pane).alias("pane"), "url")
    return sums.agg(pl.col("time").max(), pl.col("hits", "bytes", "errors").sum()).select(*SCHEMA)


def panes(sums: pl.DataFrame, pane: timedelta) -> dict[int, int]:
    """Return the number of lines in each pane of a roll-up, by the pane's start in microseconds since the epoch.

    Every parsed line is in exactly one sum, so the numbers add up to all parsed lines.
    """
    counts = sums.group_by(_pane_start(pane).alias("pane")).agg(pl.col("hits").sum()).sort("pane")
    return dict(zip(counts["pane"].to_list(), counts["hits"].to_list(), strict=True))


def _parsed(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.filter(pl.col("error").is_null()) if lines["error"].null_count() < len(lines) else lines


def _pane_start(pane: timedelta) -> pl.Expr:
    pane_us = pane // MICROSECOND
    return pl.col("time").dt.epoch("us") // pane_us * pane_us
