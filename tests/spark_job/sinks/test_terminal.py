"""Text for a terminal: bounded in cells, harmless, and marked where it is cut."""

from __future__ import annotations

import io
import os
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from spark_job.errors import SinkError
from spark_job.sinks.terminal import instant_text, print_block, visible

UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@given(st.text(), st.integers(1, 200))
def test_visible_text_is_bounded_and_harmless(text: str, width: int) -> None:
    shown = visible(text, width)
    assert cell_len(shown) <= width
    assert not {unicodedata.category(c) for c in shown} & UNSAFE_CATEGORIES


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=20))
def test_what_is_harmless_and_short_is_shown_as_it_is(text: str) -> None:
    assert visible(text, 80) == text


def test_what_is_cut_says_so() -> None:
    assert visible("/abcdefgh", 5) == "/abc\N{HORIZONTAL ELLIPSIS}"
    assert visible("/世界世界", 6) == "/世界\N{HORIZONTAL ELLIPSIS}"
    assert visible("\x1b", 10) == "\\x1b"
    assert visible("\u202e", 10) == "\\u202e"
    assert visible("\U000e0041", 10) == "\\U000e0041"


def test_a_megabyte_is_not_escaped_to_show_a_few_characters() -> None:
    assert visible("\x00" * 1_000_000, 9) == "\\x00\\x00\N{HORIZONTAL ELLIPSIS}"


def test_an_instant_has_milliseconds_only_where_it_needs_them() -> None:
    assert instant_text(datetime(2015, 5, 17, 10, 5, tzinfo=UTC)) == "2015-05-17 10:05:00"
    assert instant_text(datetime(2015, 5, 17, 10, 5, 0, 7_999, tzinfo=UTC)) == "2015-05-17 10:05:00.007"


def test_a_block_ends_with_an_empty_line() -> None:
    stream = io.StringIO()
    print_block(stream, ["one", "two"])
    assert stream.getvalue() == "one\ntwo\n\n"


def test_a_stream_that_is_gone_is_an_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    try:
        with pytest.raises(SinkError, match="console: cannot be written: Broken pipe"):
            print_block(stream, ["one"])
    finally:
        with pytest.raises(BrokenPipeError):
            stream.close()
