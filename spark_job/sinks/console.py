"""Prints the URL counts: after each micro-batch, a ranked table of each changed window, and the sum of all lines.

::

    2015-05-17 10:05:00 to 10:06:00 UTC   84 hits   40 URLs
      #      hits   share  errors     bytes  URL
      1        12   14.3%    0.0%    44 KiB  /index.html
    ...
    lines read 10,000 = counted 9,999 + malformed 1 + late 0   watermark 2015-05-20 21:04:15 UTC

Strangers choose the URLs, so :mod:`.terminal` makes them harmless; a row never gets wider than the terminal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from headrace.common.durations import MILLISECOND
from headrace.common.text import EPOCH, binary_size
from spark_job.errors import SinkError
from spark_job.sinks.terminal import instant_text, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, Sums, UrlCount, Window

DEFAULT_TOP = 10
DEFAULT_MAX_WINDOWS = 3
PLAIN_WIDTH = 100
NARROWEST_URL = 20
HEADER = f"{'#':>5}{'hits':>10}{'share':>8}{'errors':>8}{'bytes':>10}  URL"
BEFORE_URL = HEADER.index("URL")

STYLES = {"title": "bold", "header": "dim", "row": "", "footer": "dim", "warning": "yellow"}


class ConsoleSink:
    """Prints the windows of each micro-batch, the newest first.

    Args:
        top: how many URLs of a window are shown.
        max_windows: how many windows of a batch are shown.
        stream: the console; None: standard output. Only a terminal gets colours and its own width.
    """

    def __init__(
        self, top: int = DEFAULT_TOP, max_windows: int = DEFAULT_MAX_WINDOWS, stream: TextIO | None = None
    ) -> None:
        self._top = top
        self._max_windows = max_windows
        self._stream = stream or sys.stdout
        self._terminal = Console(file=self._stream, highlight=False) if self._stream.isatty() else None

    def write(self, changed: ChangedWindows) -> None:
        """Print the batch, unless it held no line."""
        if not changed.entry.read:
            return
        width = max(self._terminal.width if self._terminal else PLAIN_WIDTH, BEFORE_URL + NARROWEST_URL)
        try:
            for kind, line in self._lines(changed, width):
                self._print(kind, line)
            self._stream.flush()
        except OSError as error:
            raise SinkError(f"console: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Do nothing: each batch is printed when it comes."""

    def _print(self, kind: str, line: str) -> None:
        if self._terminal:
            self._terminal.print(Text(line, style=STYLES[kind]), soft_wrap=True)
        else:
            self._stream.write(f"{line}\n")

    def _lines(self, changed: ChangedWindows, width: int) -> Iterator[tuple[str, str]]:
        for window in changed.windows[: self._max_windows]:
            yield from window_lines(window, changed.table, self._top, width)
        hidden = len(changed.windows) - self._max_windows
        if hidden > 0:
            yield "footer", f"and {hidden:,} older window{'s' * (hidden > 1)} changed"
        watermark_ms = changed.entry.closed_before_ms
        watermark = f"{instant_text(EPOCH + watermark_ms * MILLISECOND)} UTC" if watermark_ms > 0 else "not set yet"
        yield ("footer" if changed.tally.balanced else "warning"), f"{changed.tally}   watermark {watermark}"
        if changed.entry.late:
            late = changed.entry.late
            lines = "1 line was" if late == 1 else f"{late:,} lines were"
            advice = "use --time arrival, or a longer --watermark"
            yield "warning", f"{lines} older than the watermark and not counted: {advice}"
        yield "row", ""


def window_lines(window: Window, table: CountsReader, top: int, width: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of one window as (kind of line, text); each text is at most ``width`` cells wide."""
    sums = table.sums(window)
    same_day = window.start.date() == window.end.date()
    end = instant_text(window.end).split(" ", 1)[1] if same_day else instant_text(window.end)
    hits, urls = f"{sums.hits:,} hit{'s' * (sums.hits != 1)}", f"{sums.urls:,} URL{'s' * (sums.urls != 1)}"
    yield (
        "title",
        f"{instant_text(window.start)} to {end} UTC   {hits}   {urls}",
    )
    yield "header", HEADER
    for rank, count in enumerate(table.top(window, top), start=1):
        yield "row", _row(rank, count, sums, width)


def _row(rank: int, count: UrlCount, sums: Sums, width: int) -> str:
    share = count.hits / sums.hits if sums.hits else 0.0
    errors = count.errors / count.hits if count.hits else 0.0
    url = visible(count.url, width - BEFORE_URL)
    return f"{rank:>5}{count.hits:>10,}{share:>8.1%}{errors:>8.1%}{binary_size(count.bytes):>10}  {url}"
