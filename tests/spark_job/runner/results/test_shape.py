"""Tests of how rows are stored."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_job.runner.results.shape import ROW_NUMBERS_PER_BATCH, ResultShape, in_shape, numbered, without_number

ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(-5, 5)), max_size=10)


def table(rows: list[tuple[str, int]]) -> pa.Table:
    return pa.table(
        {"url": [url for url, _ in rows], "hits": [hits for _, hits in rows]},
        pa.schema([("url", pa.string()), ("hits", pa.int64())]),
    )


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_tasks_does_not_matter(rows: list[tuple[str, int]], random: object) -> None:
    shape = ResultShape(("row",), "append", numbered=True)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis's Random
    assert in_shape(table(shuffled), shape, 3) == in_shape(table(rows), shape, 3)


def test_an_order_that_is_part_of_the_result_stays() -> None:
    rows = [("b", 1), ("a", 2)]
    assert in_shape(table(rows), ResultShape(("url",), "complete", ordered=True), 0) == table(rows)


def test_numbers_of_two_batches_never_meet() -> None:
    shape = ResultShape(("row",), "append", numbered=True)
    numbers = in_shape(table([("a", 1), ("b", 2)]), shape, 5).column("row").to_pylist()
    assert numbers == [5 * ROW_NUMBERS_PER_BATCH, 5 * ROW_NUMBERS_PER_BATCH + 1]


def test_a_number_is_no_part_of_the_row() -> None:
    assert [without_number(row) for row in numbered(table([("a", 1)]), 7).to_pylist()] == [{"url": "a", "hits": 1}]
