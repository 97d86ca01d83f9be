"""Rows of a micro-batch in an order and with numbers that a second run of the batch repeats; Spark's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_job.jobs import sensors, sessions
from spark_job.jobs.url_counts import JOB
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.structured.job import ROCKSDB, ResultShape
from spark_job.runner.structured.stream import ROW_NUMBERS_PER_BATCH, in_shape, session_of

if TYPE_CHECKING:
    from pathlib import Path

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


def test_append_mode_gets_the_batch_without_lines_that_emits_its_rows(tmp_path: Path) -> None:
    settings, folder = JobSettings(driver_memory="512m"), JobFolder(tmp_path)
    without_lines = "spark.sql.streaming.noDataMicroBatches.enabled"
    assert session_of(sessions.JOB, settings, folder).more == {without_lines: "true"}
    assert session_of(sensors.JOB, settings, folder).more == {**ROCKSDB, without_lines: "true"}
    assert session_of(JOB.bounded, settings, folder).more == {}
    assert session_of(sessions.JOB, settings, folder).driver_memory == "512m"
