"""Results of any columns for people and for files.

This is for them what :mod:`spark_job.sinks.console` and :mod:`spark_job.sinks.jsonl` are for URL counts. Times are
instants in UTC; files have them as ISO 8601 with a ``Z``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from headrace.common.files import replacing
from spark_job.errors import SinkError, sink_errors
from spark_job.sinks.console import visible
from spark_job.sinks.jsonl import REST_PER_WORK, iso_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

Row = dict[str, Any]

WIDEST_CELL = 60
TABLE_WIDTH = 140


def json_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line of JSON in pure ASCII, with its end."""
    return json.dumps({name: _plain(value) for name, value in row.items()}, default=str) + "\n"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no number that is none, instants and bytes as text."""
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


class RowsFile:
    """Keeps a file of JSON lines equal to a table, replacing it whole; at most a tenth of the time goes into it.

    Args:
        path: the file.
        rows: reads the table.
        clock: monotonic seconds.
    """

    def __init__(
        self, path: Path, rows: Callable[[], Iterable[Row]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._rows = rows
        self._clock = clock
        self._stale = True
        self._next_s = 0.0

    def changed(self) -> None:
        """Write a snapshot, unless the last one was too short a time ago.

        Raises:
            SinkError: it cannot be written.
        """
        self._stale = True
        if self._clock() >= self._next_s:
            self._snapshot()

    def close(self) -> None:
        """Write what was put off.

        Raises:
            SinkError: it cannot be written.
        """
        if self._stale:
            self._snapshot()

    def _snapshot(self) -> None:
        began_s = self._clock()
        with sink_errors(self._path), replacing(self._path) as file:
            for row in self._rows():
                file.write(json_line(row).encode())
        ended_s = self._clock()
        self._stale = False
        self._next_s = ended_s + REST_PER_WORK * (ended_s - began_s)


class RowsConsole:
    """Prints rows as a table of plain text, harmless for terminals.

    Args:
        top: how many rows of a batch are shown.
        stream: where to; standard output where it is None.
    """

    def __init__(self, top: int, stream: TextIO | None = None) -> None:
        self._top = top
        self._stream = stream or sys.stdout

    def show(self, rows: Sequence[Row], total: int, footer: str) -> None:
        """Print the first rows of ``total``, and a line about the whole.

        Raises:
            SinkError: it cannot be written.
        """
        shown = [{name: _cell(value) for name, value in row.items()} for row in rows[: self._top]]
        lines = _table(shown)
        if total > len(shown):
            lines.append(f"and {total - len(shown):,} more rows")
        try:
            self._stream.write("\n".join([*lines, footer]) + "\n\n")
            self._stream.flush()
        except OSError as error:
            raise SinkError(f"console: cannot be written: {error.strerror}") from error


def _table(rows: list[dict[str, str]]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    lines = ["  ".join(name.ljust(widths[name]) for name in names)]
    lines += ["  ".join(row[name].ljust(widths[name]) for name in names) for row in rows]
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
