"""What tells one visitor of a web site from another, and what tells pages from the files that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

if TYPE_CHECKING:
    from pyspark.sql import Column

DECLARED_BOT = (
    r"(?i)bot\b|bot[/;)]|crawl|spider|slurp|archiver|feed|\brss|fetch|curl/|wget/|python|java/|http-?client|\+http"
)
"""Agents that say of themselves that no person reads what they ask for."""

ASSET = r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|eot|mp4|webm)$"
"""Paths that a page asks for, and not a person."""


def agent() -> Column:
    """Return the user agent; a dash where the line has none, as the log itself writes it."""
    return F.coalesce(F.col("agent"), F.lit("-"))


def is_declared_bot() -> Column:
    """Return whether the agent says that it is a program."""
    return F.coalesce(F.col("agent"), F.lit("-")).rlike(DECLARED_BOT)


def is_page() -> Column:
    """Return whether a line asks for a page and not for a file of one."""
    return ~F.coalesce(F.col("path"), F.lit("")).rlike(ASSET)


def in_order() -> Column:
    """Return what lines are sorted by, so that those of one second keep the order of the log."""
    return F.struct("time", "bridge", "offset")
