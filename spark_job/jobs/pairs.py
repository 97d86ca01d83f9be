"""Sums of two numbers at once, and the way back: reduce functions of windows, whose inverse takes away what leaves."""

from __future__ import annotations

Pair = tuple[int, int]


def plus(one: Pair, other: Pair) -> Pair:
    """Add what comes into the window."""
    return one[0] + other[0], one[1] + other[1]


def minus(whole: Pair, part: Pair) -> Pair:
    """Take away what leaves the window."""
    return whole[0] - part[0], whole[1] - part[1]
