"""The token bucket for log lines."""

from __future__ import annotations

from avro_bridge.ingest.rate_limit import RateLimit


class Clock:
    """A clock that the test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_is_allowed_and_the_rest_is_counted() -> None:
    clock = Clock()
    limit = RateLimit(per_s=2.0, burst=3, monotonic_s=clock)
    assert [limit.take() for _line in range(6)] == [0, 0, 0, None, None, None]
    clock.now_s += 0.5
    assert limit.take() == 3, "the next line says how many were suppressed"
    assert limit.take() is None
    clock.now_s += 0.5
    assert limit.take() == 1


def test_a_long_pause_allows_no_more_than_a_burst() -> None:
    clock = Clock()
    limit = RateLimit(per_s=1.0, burst=2, monotonic_s=clock)
    clock.now_s += 3600
    assert [limit.take() for _line in range(3)] == [0, 0, None]
