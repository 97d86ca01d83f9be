"""Reduce functions on pairs: the inverse takes away exactly what was added."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_job.jobs.pairs import minus, plus

PAIRS = st.tuples(st.integers(-(2**63), 2**63), st.integers(0, 2**63))


def test_both_numbers_are_added() -> None:
    assert plus((1, 20), (3, 400)) == (4, 420)


@given(PAIRS, PAIRS, PAIRS)
def test_the_inverse_undoes_and_the_order_does_not_matter(
    one: tuple[int, int], two: tuple[int, int], three: tuple[int, int]
) -> None:
    assert minus(plus(one, two), two) == one
    assert plus(plus(one, two), three) == plus(one, plus(three, two))
