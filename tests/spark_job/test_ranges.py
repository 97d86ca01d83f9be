"""Ranges of a log and their parts."""

from __future__ import annotations

import pickle

from spark_job.ranges import LogRange, Part


def test_a_range_counts_its_offsets() -> None:
    assert LogRange("a", 10, 30).events == 20
    assert LogRange("a", 10, 10).events == 0


def test_a_part_travels_to_an_executor_and_knows_its_log_there() -> None:
    part = Part(12, 15, LogRange("a", 10, 30))
    travelled = pickle.loads(pickle.dumps(part))  # noqa: S301 -- our own bytes
    assert travelled == part
    assert travelled.log_id == "a"
