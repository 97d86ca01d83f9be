"""The table of URLs keeps its columns in line and its rows in the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from spark_job.sinks.counts_table.reader import UrlCount
from spark_job.sinks.url_table import NARROWEST_URL, PLAIN_WIDTH, header, row, title, width_of

COUNT = UrlCount("/index.html", hits=1_200, bytes=120_000, errors=3)


def test_a_row_stands_below_its_header() -> None:
    assert header() == "    #      hits   share  errors     bytes  URL"
    assert row(1, COUNT, 4_800, 80) == "    1     1,200   25.0%    0.2%   117 KiB  /index.html"


def test_the_change_is_one_more_column() -> None:
    assert header(with_change=True) == "    #  before      hits   share  errors     bytes  URL"
    assert row(1, COUNT, 4_800, 80, "+2") == "    1      +2     1,200   25.0%    0.2%   117 KiB  /index.html"
    assert row(1, COUNT, 4_800, 80, "").index("1,200") == header(with_change=True).index("hits") - 1


def test_nothing_is_divided_by_zero() -> None:
    assert row(1, UrlCount("/", 0, 0, 0), 0, 80) == "    1         0    0.0%    0.0%       0 B  /"


def test_one_hit_and_one_url_are_singular() -> None:
    assert title("a", "b", 1, 1) == "a to b UTC   1 hit   1 URL"
    assert title("a", "b", 1_204, 0) == "a to b UTC   1,204 hits   0 URLs"


def test_the_width_is_that_of_the_terminal_but_a_url_always_has_room() -> None:
    assert width_of(None) == width_of(None, with_change=True) == PLAIN_WIDTH
    assert width_of(Console(width=132)) == 132
    narrow = Console(width=20)
    assert width_of(narrow) == header().index("URL") + NARROWEST_URL
    assert width_of(narrow, with_change=True) == width_of(narrow) + 8


@given(st.text(max_size=200), st.integers(0, 10**15), st.integers(70, 200))
def test_a_row_is_never_wider_than_the_terminal(url: str, hits: int, width: int) -> None:
    assert cell_len(row(1, UrlCount(url, hits, hits * 1_000, hits), hits, width, "new")) <= width
