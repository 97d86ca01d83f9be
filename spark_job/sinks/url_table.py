"""Lines of a table of URLs for a terminal: a title, a header, and one row for each URL.

``headrace top`` adds the column ``before``: how many ranks a URL has risen or fallen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from headrace.common.text import binary_size
from spark_job.sinks.terminal import visible

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH: Final = 100
"""Cells of a line where the output is no terminal."""
NARROWEST_URL: Final = 20
"""Cells that a URL gets in a terminal that is too narrow for the table."""
STYLES: Final = {"title": "bold", "header": "dim", "row": "", "footer": "dim", "warning": "yellow"}


class Counted(Protocol):
    """The counts of one URL."""

    @property
    def url(self) -> str:
        """The URL, as its client wrote it."""

    @property
    def hits(self) -> int:
        """How often it was requested."""

    @property
    def bytes(self) -> int:
        """Bytes of all its answers."""

    @property
    def errors(self) -> int:
        """How many of its answers had an error status."""


def width_of(terminal: Console | None, *, with_change: bool = False) -> int:
    """Return how many cells a line of the table may have; ``terminal`` is None where the output is no terminal."""
    before_url = header(with_change=with_change).index("URL")
    return max(terminal.width if terminal else PLAIN_WIDTH, before_url + NARROWEST_URL)


def title(start: str, end: str, hits: int, urls: int) -> str:
    """Return the line above the header, for the time range from ``start`` to ``end``."""
    return f"{start} to {end} UTC   {hits:,} hit{'s' * (hits != 1)}   {urls:,} URL{'s' * (urls != 1)}"


def header(*, with_change: bool = False) -> str:
    """Return the names of the columns."""
    change = _change("before" if with_change else None)
    return f"{'#':>5}{change}{'hits':>10}{'share':>8}{'errors':>8}{'bytes':>10}  URL"


def row(rank: int, count: Counted, hits: int, width: int, change: str | None = None) -> str:
    """Return the row of one URL, at most ``width`` cells wide.

    Args:
        rank: place of the URL.
        count: its counts.
        hits: hits of all URLs of the range.
        width: cells of the row.
        change: text of the column ``before``; None leaves the column out.
    """
    share = count.hits / hits if hits else 0.0
    errors = count.errors / count.hits if count.hits else 0.0
    numbers = f"{rank:>5}{_change(change)}{count.hits:>10,}{share:>8.1%}{errors:>8.1%}{binary_size(count.bytes):>10}  "
    return numbers + visible(count.url, width - len(numbers))


def _change(text: str | None) -> str:
    return "" if text is None else f"{text:>8}"
