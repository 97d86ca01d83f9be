"""Columns that identify visitors of a web site, and tell pages from the files that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

if TYPE_CHECKING:
    from pyspark.sql import Column

DECLARED_BOT = (
    r"(?i)bot\b|bot[/;)]|crawl|spider|slurp|archiver|feed|\brss|fetch|curl/|wget/|python|java/|http-?client|\+http"
)
"""User agents that declare themselves to be programs."""

ASSET = r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|eot|mp4|webm)$"
"""Paths that a page requests, and not a person."""


def agent() -> Column:
    """Return the user agent; a dash if the line has none, as in the log itself."""
    return F.coalesce(F.col("agent"), F.lit("-"))


def is_declared_bot() -> Column:
    """Return whether the user agent declares itself to be a program."""
    return F.coalesce(F.col("agent"), F.lit("-")).rlike(DECLARED_BOT)


def is_page() -> Column:
    """Return whether a line requests a page, not a file that belongs to one."""
    return ~F.coalesce(F.col("path"), F.lit("")).rlike(ASSET)


def in_order() -> Column:
    """Return the sort key of lines: those of one second keep the order of the log."""
    return F.struct("time", "bridge", "offset")
