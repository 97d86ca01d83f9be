"""The time formats of ``%{...}t``: what Apache's strftime writes is read back; ambiguous formats are refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.errors import OptionError
from spark_job.parse.strftime import time_pattern
from spark_job.parse.times import TimePattern

FORMATS = (
    "%Y-%m-%dT%H:%M:%S%z",
    "%F %T %z",
    "%d/%b/%Y:%T %z",
    "%e %B %Y %R:%S %z",
    "%a, %d %h %Y %T %z",
    "%A %j %Y %T %z",
    "%s",
    "100%% %Y%m%d%H%M%S%z",
    "begin:%F%t%T%n%z",
)


@given(st.sampled_from(FORMATS), st.datetimes(datetime(1971, 1, 1), datetime(2999, 12, 31)))  # noqa: DTZ001 -- made UTC below
def test_what_strftime_writes_is_read_back(log_format: str, moment: datetime) -> None:
    instant = moment.replace(microsecond=0, tzinfo=UTC)
    seconds = str(int(instant.timestamp()))
    # %s of Python's strftime takes the machine's zone; Apache writes seconds since 1970.
    written = instant.strftime(log_format.removeprefix("begin:").replace("%s", seconds))
    times = TimePattern(time_pattern(log_format)).read(pl.Series([written]), "UTC")
    assert times.to_list() == [instant]


@pytest.mark.parametrize(
    ("argument", "text"),
    [("sec", "1431857103"), ("msec", "1431857103000"), ("usec", "1431857103000000"), ("end:sec", "1431857103")],
)
def test_counts_since_1970_are_read(argument: str, text: str) -> None:
    times = TimePattern(time_pattern(argument)).read(pl.Series([text]), "UTC")
    assert times.to_list() == [datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)]


def test_the_empty_argument_is_apache_s_own_form() -> None:
    assert re.fullmatch(time_pattern(""), "[17/May/2015:10:05:03 +0000]")


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("%y-%m-%d", "%{%y-%m-%d}t: %y: a year of two digits does not say its century; write %Y"),
        ("%I:%M %p", "%I: an hour from 1 to 12 is written with %p"),
        ("%F %T %Z", "%Z: names of zones are ambiguous; write %z"),
        ("%F %Q", "%Q: it is not known here"),
        ("%F %", "%: it is not known here"),
    ],
)
def test_what_does_not_determine_a_time_is_refused_with_what_would(argument: str, why: str) -> None:
    with pytest.raises(OptionError, match=re.escape(why)):
        time_pattern(argument)
