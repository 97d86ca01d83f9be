"""Waiting for a condition with a deadline: what tests use instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POLL_INTERVAL_S = 0.02


def wait_until(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """Call ``condition`` until it returns something true, and return that.

    The test fails when ``timeout_s`` passes first; the failure names ``what`` and the last value seen. An exception of
    the condition ends the wait at once: catch inside the condition what is expected on the way.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            pytest.fail(f"waited {timeout_s:g} s for {what}; last seen: {seen!r}", pytrace=True)
        time.sleep(POLL_INTERVAL_S)
