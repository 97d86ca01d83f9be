"""Pauses double up to the longest, and begin again after progress."""

from __future__ import annotations

from headrace.common.retry import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.take() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_progress_begins_with_the_first_pause_again() -> None:
    backoff = Backoff(1.0, 30.0)
    backoff.take()
    backoff.take()
    assert backoff.next_s == 4.0
    backoff.reset()
    assert backoff.take() == 1.0
