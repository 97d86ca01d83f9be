"""The console shows ranked windows, never lets a URL steer the terminal, and never gets wider than it."""

from __future__ import annotations

import io
import os
import unicodedata
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from spark_job.errors import SinkError
from spark_job.sinks.console import ConsoleSink
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.url_table import PLAIN_WIDTH, header
from tests.support.counts import entry, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Written by this sink and read by eye.
GOLDEN = """\
1970-01-01 00:02:00 to 00:03:00 UTC   1 hit   1 URL
    #      hits   share  errors     bytes  URL
    1         1  100.0%    0.0%     100 B  /only
1970-01-01 00:01:00 to 00:02:00 UTC   1,204 hits   3 URLs
    #      hits   share  errors     bytes  URL
    1     1,200   99.7%    0.0%   117 KiB  /index.html
    2         3    0.2%  100.0%     300 B  /missing
lines read 1,207 = counted 1,205 + malformed 2 + too old 0

1970-01-01 00:02:00 to 00:03:00 UTC   2 hits   1 URL
    #      hits   share  errors     bytes  URL
    1         2  100.0%    0.0%     200 B  /only
lines read 1,209 = counted 1,206 + malformed 2 + too old 1
1 line is older than the windows that are kept, and not counted: see --keep and --max-rows

"""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[CountsTable]:
    with CountsTable(tmp_path / "counts.db") as opened:
        yield opened


def test_ranked_windows_newest_first_and_the_sum(table: CountsTable) -> None:
    stream = io.StringIO()
    sink = ConsoleSink(top=2, stream=stream)
    first = [(1, "/index.html", 1200), (1, "/missing", 3), (1, "/z", 1), (2, "/only", 1)]
    sink.write(store(table, entry(0, 0, 1207, malformed=2), first))
    sink.write(store(table, entry(1, 1207, 1209, too_old=1), [(2, "/only", 1)]))
    sink.close()
    assert stream.getvalue() == GOLDEN


def test_a_batch_without_lines_prints_nothing(table: CountsTable) -> None:
    stream = io.StringIO()
    ConsoleSink(stream=stream).write(store(table, entry(0, 0, 0)))
    assert stream.getvalue() == ""


def test_at_most_so_many_windows_and_how_many_more_there_are(table: CountsTable) -> None:
    stream = io.StringIO()
    batch = store(table, entry(0, 0, 5), [(minute, "/", 1) for minute in range(5)])
    ConsoleSink(max_windows=2, stream=stream).write(batch)
    assert stream.getvalue().count(" UTC   1 hit ") == 2
    assert "and 3 older windows changed" in stream.getvalue()


def test_a_window_over_midnight_is_named_in_full(table: CountsTable) -> None:
    stream = io.StringIO()
    ConsoleSink(stream=stream).write(store(table, entry(0, 0, 1), [(1439, "/", 1)], length=2))
    assert "1970-01-01 23:59:00 to 1970-01-02 00:01:00 UTC" in stream.getvalue()


NASTY = [
    "/\x1b[2J\x1b]0;owned\x07",
    "/\x9b31m",
    "/a\rb\nc\td\x00e",
    "/\u202egnp.exe\u2066",
    "/\u200b\u200d\ufeff",
    "/line\u2028para\u2029",
    "/tag\U000e0041",
    "/" + "x" * 100_000,
    "/" + "\u0301" * 5_000,
    "/" + "世界" * 200,
    "",
]


@pytest.mark.parametrize("url", NASTY)
def test_nasty_urls_stay_in_their_line(table: CountsTable, url: str) -> None:
    stream = io.StringIO()
    ConsoleSink(stream=stream).write(store(table, entry(0, 0, 1), [(0, url, 1)]))
    lines = stream.getvalue().split("\n")
    assert len(lines) == 6
    assert all(cell_len(line) <= PLAIN_WIDTH for line in lines)
    assert not {unicodedata.category(c) for line in lines for c in line} & UNSAFE_CATEGORIES
    assert len(stream.getvalue()) < 1_000


def read_screen(leader: int, until: str) -> str:
    """Return what has come to a terminal; it comes in pieces."""
    shown = b""
    while until.encode() not in shown:
        shown += os.read(leader, 10_000)
    return shown.decode()


def test_a_terminal_gets_styles_and_its_own_width(table: CountsTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    batch = store(table, entry(0, 0, 1), [(0, "/[bold]not markup[/bold]" + "x" * 100, 1)])
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal:
        ConsoleSink(stream=terminal).write(batch)
        shown = read_screen(leader, until="too old")
    os.close(leader)
    assert "\x1b[1m1970-01-01" in shown
    row = next(line for line in shown.split("\r\n") if "markup" in line)
    assert "/[bold]not markup[/bold]" in row
    assert cell_len(row) == 80 > header().index("URL")


def test_a_console_that_is_gone_is_an_error(table: CountsTable) -> None:
    batch = store(table, entry(0, 0, 1), [(0, "/", 1)])
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    try:
        with pytest.raises(SinkError, match="console"):
            ConsoleSink(stream=stream).write(batch)
    finally:
        with pytest.raises(BrokenPipeError):
            stream.close()
