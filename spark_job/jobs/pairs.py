"""Reduce and inverse-reduce functions on pairs of numbers, for sliding windows."""

from __future__ import annotations

Pair = tuple[int, int]


def plus(one: Pair, other: Pair) -> Pair:
    """Add a pair that enters the window."""
    return one[0] + other[0], one[1] + other[1]


def minus(whole: Pair, part: Pair) -> Pair:
    """Subtract a pair that leaves the window."""
    return whole[0] - part[0], whole[1] - part[1]
