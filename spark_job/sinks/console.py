"""Prints the URL counts: after each micro-batch, a ranked table of each changed window, and the sum of all lines.

::

    2015-05-17 10:05:00 to 10:06:00 UTC   84 hits   40 URLs
      #      hits   share  errors     bytes  URL
      1        12   14.3%    0.0%    44 KiB  /index.html
    ...
    lines read 10,000 = counted 9,999 + malformed 1 + too old 0

Strangers choose the URLs, so :mod:`.url_table` makes them harmless; a row never gets wider than the terminal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from spark_job.errors import SinkError
from spark_job.sinks.terminal import instant_text
from spark_job.sinks.url_table import STYLES, header, row, title, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, Window

DEFAULT_TOP = 10
DEFAULT_MAX_WINDOWS = 3


class ConsoleSink:
    """Prints the windows of each micro-batch, the newest first.

    Args:
        top: how many URLs of a window are shown.
        max_windows: how many windows of a micro-batch are shown.
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
        """Print the micro-batch, unless it held no line."""
        if not changed.entry.read:
            return
        try:
            for kind, line in self._lines(changed, width_of(self._terminal)):
                self._print(kind, line)
            self._stream.flush()
        except OSError as error:
            raise SinkError(f"console: cannot be written: {error.strerror}") from error

    def write_if_due(self) -> None:
        """Do nothing: each batch is printed when it comes."""

    def close(self) -> None:
        """Do nothing: each micro-batch is printed when it comes."""

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
        yield ("footer" if changed.tally.balanced else "warning"), str(changed.tally)
        if changed.entry.too_old:
            too_old = changed.entry.too_old
            lines = "1 line is" if too_old == 1 else f"{too_old:,} lines are"
            yield "warning", f"{lines} older than the windows that are kept, and not counted: see --keep and --max-rows"
        yield "row", ""


def window_lines(window: Window, table: CountsReader, top: int, width: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of one window as (kind of line, text); each text is at most ``width`` cells wide."""
    sums = table.sums(window)
    same_day = window.start.date() == window.end.date()
    end = instant_text(window.end).split(" ", 1)[1] if same_day else instant_text(window.end)
    yield "title", title(instant_text(window.start), end, sums.hits, sums.urls)
    yield "header", header()
    for rank, count in enumerate(table.top(window, top), start=1):
        yield "row", row(rank, count, sums.hits, width)
