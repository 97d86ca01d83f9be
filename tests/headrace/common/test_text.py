"""Text that strangers wrote cannot steer a terminal, and nothing of it is lost where it is data."""

from __future__ import annotations

import ast
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.common.text import (
    binary_size,
    ends_in_hash_mark,
    escaped,
    first_difference,
    hash_mark,
    is_safe,
    iso_utc,
    printable,
)

STEERING = "\x1b[31m \x07 \x9b2J \u202e \u2066 \ud800 \ue000 \u2028"


def test_what_steers_a_terminal_is_replaced_or_escaped() -> None:
    assert printable("a\x1b[31mb") == "a\N{REPLACEMENT CHARACTER}[31mb"
    assert escaped("a\x1b[31mb\u202e\n") == r"a\x1b[31mb\u202e\n"
    assert all(is_safe(c) for c in printable(STEERING) + escaped(STEERING))


def test_ordinary_text_of_any_script_stays() -> None:
    text = "/caf\u00e9/\u65e5\u672c\u8a9e/\U0001f600?q=a b"
    assert printable(text) == escaped(text) == text


def test_line_feeds_stay_only_where_they_are_wanted() -> None:
    assert printable("a\nb", lines=True) == "a\nb"
    assert printable("a\nb") == "a\N{REPLACEMENT CHARACTER}b"


@given(st.text(), st.integers(1, 50))
def test_printable_text_is_safe_and_bounded(text: str, most: int) -> None:
    shown = printable(text, most)
    assert len(shown) <= most
    assert all(is_safe(c) for c in shown)
    if len(text) > most:
        assert shown.endswith("\N{HORIZONTAL ELLIPSIS}")


@given(st.text(alphabet=st.characters(exclude_characters="\\'")))
def test_escaped_text_can_be_read_back(text: str) -> None:
    assert ast.literal_eval(f"'{escaped(text)}'") == text


@given(st.text(alphabet=st.characters(), max_size=20))
def test_a_hash_mark_is_of_the_whole_text_and_is_recognised(text: str) -> None:
    mark = hash_mark(text)
    assert len(mark) == 33
    assert ends_in_hash_mark(text + mark)
    assert hash_mark(text + "\ud800") != mark


def test_only_a_whole_hash_mark_at_the_end_is_one() -> None:
    mark = hash_mark("a")
    assert mark == "~ca978112ca1bbdcafac231b39a23dc4d"
    assert not any(ends_in_hash_mark(text) for text in ("", mark + "x", mark[1:], mark.upper(), mark[:-1]))


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * 1024, "10 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (2**60, "1024 PiB"),
    ],
)
def test_sizes_have_two_digits_at_least(count: int, shown: str) -> None:
    assert binary_size(count) == shown


def test_an_instant_is_written_with_a_z_and_no_empty_fraction() -> None:
    assert iso_utc(datetime(2015, 5, 17, 10, 5, tzinfo=UTC)) == "2015-05-17T10:05:00Z"
    assert iso_utc(datetime(2015, 5, 17, 10, 5, 0, 250, tzinfo=UTC)) == "2015-05-17T10:05:00.000250Z"


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        ("a\nb\nc\n", "a\nB\nC\n", "  line 2 of the file: b\n  the code says: B"),
        ("a\n", "a\nb\n", "  line 2 of the file: (nothing)\n  the code says: b"),
        ("a\nb\n", "a\n", "  line 2 of the file: b\n  the code says: (nothing)"),
        ("a\r\n", "a\n", "  line 1 of the file: a\\r\n  the code says: a"),
        ("a\nb", "a\nb\n", "  line 2 of the file: b (without a line end)\n  the code says: b"),
        ("a\nb\n", "a\nb\n", ""),
        ("", "", ""),
    ],
)
def test_a_file_differs_first_in_a_line(file: str, code: str, said: str) -> None:
    assert first_difference(file, code) == said


@given(st.text("ab\r\n\u2028"), st.text("ab\r\n\u2028"))
def test_no_difference_means_that_the_texts_are_the_same(file: str, code: str) -> None:
    assert (first_difference(file, code) == "") is (file == code)
