"""Shows and writes results with any columns: a text table for people, JSON lines for files.

:mod:`spark_job.sinks.console` and :mod:`spark_job.sinks.jsonl` do the same for URL counts. Times are instants in UTC;
files have them as ISO 8601 with a ``Z``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from headrace.common.text import iso_utc
from spark_job.sinks.snapshot_file import SnapshotFile
from spark_job.sinks.terminal import instant_text, print_block, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

Row = dict[str, Any]

WIDEST_CELL = 60
TABLE_WIDTH = 140
NUMBER_WIDTH = 12
NUMBERS_TABLE_WIDTH = 100


def json_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of JSON in pure ASCII, with its line feed."""
    return json.dumps({name: _plain(value) for name, value in row.items()}, default=str) + "\n"


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinity become null, instants and bytes become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return iso_utc(value if value.tzinfo is None else value.astimezone(UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


class RowsFile(SnapshotFile):
    """Keeps a file of JSON lines equal to a table.

    Args:
        path: the file.
        rows: reads the table.
        clock: monotonic seconds.
    """

    def __init__(
        self, path: Path, rows: Callable[[], Iterable[Row]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(path, lambda: map(json_line, rows()), clock)


class RowsConsole:
    """Prints rows as a table of plain text that is harmless for terminals.

    Args:
        top: how many rows of a batch are shown.
        stream: the console; None: standard output.
        numbers: columns of whole numbers, shown first and aligned to the right; empty: columns keep their order.
    """

    def __init__(self, top: int, stream: TextIO | None = None, *, numbers: Collection[str] = ()) -> None:
        self._top = top
        self._stream = stream or sys.stdout
        self._numbers = numbers
        self._was_empty = True

    def show(self, rows: Sequence[Row], total: int, footer: str = "", *, title: str = "") -> None:
        """Print the first rows of ``total``, and a line about all of them.

        Args:
            rows: the first rows, or all.
            total: how many there are.
            footer: the line below them.
            title: the line above them, which gets the number of rows. Of titled results, an empty one is printed only
                if the one before had rows.

        Raises:
            SinkError: it cannot be written.
        """
        if title and not rows and self._was_empty:
            return
        self._was_empty = not rows
        shown = rows[: self._top]
        lines = _numbers_first(shown, self._numbers) if self._numbers else _table(shown)
        if title:
            lines.insert(0, f"{title}   {total:,} row{'s' * (total != 1)}")
        elif total > len(shown):
            lines.append(f"and {total - len(shown):,} more rows")
        print_block(self._stream, [*lines, footer] if footer else lines)


def _numbers_first(rows: Sequence[Row], numbers: Collection[str]) -> list[str]:
    """Return a table whose texts stand last, since they may be long."""
    if not rows:
        return []
    names = list(rows[0])
    text_width = NUMBERS_TABLE_WIDTH - NUMBER_WIDTH * len(numbers) - 2

    def line(row: Row) -> str:
        cells = [
            f"{row[name]:>{NUMBER_WIDTH},}" if isinstance(row[name], int) else f"{row[name]!s:>{NUMBER_WIDTH}}"
            for name in names
            if name in numbers
        ]
        for value in (row[name] for name in names if name not in numbers):
            text = instant_text(value) if isinstance(value, datetime) else str(value)
            cells.append(f"  {visible(text, text_width)}")
        return "".join(cells).rstrip()

    return [line(row) for row in ({name: name for name in names}, *rows)]


def _table(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in cells)) for name in names}
    lines = ["  ".join(name.ljust(widths[name]) for name in names)]
    lines += ["  ".join(row[name].ljust(widths[name]) for name in names) for row in cells]
    return [visible(line.rstrip(), TABLE_WIDTH) for line in lines]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        utc = value if value.tzinfo is None else value.astimezone(UTC)
        return utc.replace(tzinfo=None).isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:.6g}"
    plain = _plain(value)
    return visible(plain if isinstance(plain, str) else json.dumps(plain, default=str), WIDEST_CELL)
