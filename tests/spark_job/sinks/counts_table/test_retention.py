"""Which windows are closed; test_writer.py has what the table does then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.sinks.counts_table.retention import Retention

NOW = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


def test_without_limits_nothing_is_closed() -> None:
    assert Retention().excess_rows(10**9) == 0
    assert Retention().too_old_us(NOW) is None


def test_age_counts_from_now() -> None:
    assert Retention(age=timedelta(seconds=20)).too_old_us(NOW) == 40_000_000


@pytest.mark.parametrize(("rows", "excess"), [(0, 0), (5, 0), (6, 1)])
def test_rows_above_the_limit_are_too_many(rows: int, excess: int) -> None:
    assert Retention(max_rows=5).excess_rows(rows) == excess


@given(st.lists(st.integers(1, 9), max_size=6), st.integers(-1, 40))
def test_as_few_of_the_oldest_windows_as_make_room_and_never_the_newest(sizes: list[int], excess: int) -> None:
    closed = Retention.end_of_excess_us(excess, list(enumerate(sizes, 1)))
    number = closed or 0
    if excess <= 0:
        assert closed is None
    else:
        assert sum(sizes[:number]) >= excess or number == max(len(sizes) - 1, 0)
        assert number == 0 or sum(sizes[: number - 1]) < excess
