"""Lengths of time are read as people write them and printed so that they read back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.common.durations import (
    LONGEST,
    MILLISECOND,
    format_duration,
    parse_duration,
    parse_length,
    spark_interval,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1 minute", 60),
        ("90s", 90),
        ("1h30m", 5400),
        ("1 hour 30 minutes", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("0.25 Seconds", 0.25),
        ("2 days", 172_800),
        (" 10 mins ", 600),
        ("1hr", 3600),
        ("2hrs", 7200),
    ],
)
def test_what_people_write_is_read(text: str, seconds: float) -> None:
    assert parse_length(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a length of time"),
        ("5", "not a length of time"),
        ("m", "not a length of time"),
        ("-5m", "not a length of time"),
        ("5m!", "not a length of time"),
        ("5 parsecs", "unknown unit of time 'parsecs'"),
        ("5mo", "unknown unit of time 'mo'"),
        ("0s", "must be longer than 0"),
        ("0.1ms", "finer than a millisecond"),
        ("40000d", "longer than a century"),
        ("9" * 500 + "d", "not a length of time"),
    ],
)
def test_what_is_not_a_length_is_refused_with_examples(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_length(text)
    assert "1h30m" in str(caught.value)


def test_zero_is_a_length_where_it_is_allowed() -> None:
    assert parse_duration("0s") == timedelta(0)
    assert format_duration(timedelta(0)) == "0s"


@given(st.integers(1, LONGEST // MILLISECOND).map(lambda n: n * MILLISECOND))
def test_what_is_printed_reads_back(length: timedelta) -> None:
    assert parse_length(format_duration(length)) == length
    assert parse_length(spark_interval(length)) == length
