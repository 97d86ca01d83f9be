"""How lengths of time and instants are read from the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.parameters import read_length, read_time
from headrace.errors import UsageError


@given(st.datetimes(min_value=datetime(1900, 1, 1)))  # noqa: DTZ001 - without a zone is the point
def test_an_instant_without_a_zone_is_in_utc(moment: datetime) -> None:
    assert read_time("--at", moment.isoformat()) == moment.replace(tzinfo=UTC)


def test_an_instant_with_a_zone_keeps_it() -> None:
    assert read_time("--at", "2015-01-05T09:00:00+01:00") == datetime(2015, 1, 5, 8, tzinfo=UTC)
    assert read_time("--at", "2015-01-05T08:00:00Z") == datetime(2015, 1, 5, 8, tzinfo=UTC)


def test_a_length_is_above_zero() -> None:
    assert read_length("--last", "1h30m") == timedelta(minutes=90)
    with pytest.raises(UsageError, match="--last 0s: "):
        read_length("--last", "0s")


@pytest.mark.parametrize("text", ["", "noon", "2015-13-01", "12:00"])
def test_what_is_no_instant_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=f"--at {text}: write it like 2015-01-05T08:00:00Z"):
        read_time("--at", text)
