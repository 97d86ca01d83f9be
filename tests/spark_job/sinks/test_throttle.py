"""Repeated work takes at most a tenth of the time, unless its result would be more than 10 s old."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.sinks.throttle import MAX_PAUSE_S, Throttle
from tests.support.clock import Clock


@given(st.lists(st.floats(0.001, 1.1), min_size=1, max_size=20))
def test_no_more_than_a_tenth_of_the_time_goes_into_the_work(costs_s: list[float]) -> None:
    clock = Clock(now_s=100.0)
    throttle = Throttle(clock)
    began_s = clock.now_s
    for cost_s in costs_s:
        assert throttle.is_due()
        with throttle.working():
            clock.now_s += cost_s
        clock.now_s += 8.999 * cost_s
        assert not throttle.is_due()
        clock.now_s += 0.002 * cost_s
    assert sum(costs_s) <= 0.1 * (clock.now_s - began_s) * 1.001


@given(st.floats(1.2, 100_000))
def test_no_pause_is_longer_than_ten_seconds(cost_s: float) -> None:
    clock = Clock(now_s=100.0)
    throttle = Throttle(clock)
    with throttle.working():
        clock.now_s += cost_s
    ended_s = clock.now_s
    clock.now_s = ended_s + MAX_PAUSE_S - 0.01
    assert not throttle.is_due()
    clock.now_s = ended_s + MAX_PAUSE_S
    assert MAX_PAUSE_S == 10
    assert throttle.is_due()


def test_work_that_failed_is_due_again_at_once() -> None:
    clock = Clock(now_s=100.0)
    throttle = Throttle(clock)

    def fail() -> None:
        with throttle.working():
            clock.now_s += 5
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert throttle.is_due()
