"""The arrays of the kernels: growth, collisions, and buffers as they may come over the network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from spark_job.parse import UrlRule
from spark_job.parse.kernels.line_form import LineForm
from spark_job.parse.kernels.sum_arrays import SumArrays
from tests.support.access_lines import TIME, apache_time, combined
from tests.support.line_counts import Question, counted, events, left_by_kernels, parsed
from tests.support.target_hashes import target_hash


def test_sums_grow_with_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.parse.kernels.sum_arrays.LINES_AT_ONCE", 16)
    monkeypatch.setattr("spark_job.parse.kernels.sum_arrays.FIRST_ROWS", 32)
    monkeypatch.setattr("spark_job.parse.kernels.sum_arrays.FIRST_BYTES", 64)
    at = datetime(2015, 5, 17, tzinfo=UTC)
    lines = [
        combined(f"GET /{number} HTTP/1.1").replace(TIME, apache_time(at + timedelta(minutes=minute))).encode()
        for number in range(20)
        for minute in range(20)
    ]
    lines += [combined(f"GET /{number}{'long' * 100} HTTP/1.1").encode() for number in range(300)]
    tables = [events(lines[:100]), events(lines[100:], pieces=3)]
    whole = events(lines)
    assert counted(Question(), *tables) == parsed(Question(), whole)
    assert left_by_kernels(Question(), whole) == []


def test_lines_whose_targets_would_all_collide_are_left_and_counted_all_the_same() -> None:
    targets = colliding_targets(50)
    table = events([combined(f"GET {target} HTTP/1.1").encode() for target in targets])
    left = left_by_kernels(Question(), table)
    assert 0 < len(left) < len(targets)
    assert counted(Question(), table) == parsed(Question(), table)


def colliding_targets(count: int) -> list[str]:
    """Return targets whose hashes agree in their lower bits."""
    found: dict[int, list[str]] = {}
    for number in range(4_000_000):
        target = f"/{number}"
        same = found.setdefault(target_hash(target.encode()) & 0x3FFF, [])
        same.append(target)
        if len(same) == count:
            return same
    raise AssertionError("no collisions")


def test_lines_come_from_the_middle_of_buffers_and_from_odd_addresses() -> None:
    lines = [combined(f"GET /{number} HTTP/1.1", agent="a" * number).encode() for number in range(40)]
    array = pa.array([b"x", *lines], pa.binary())
    _, offsets, content = array.buffers()
    shifted = pa.py_buffer(b"!" + content.to_pybytes())[1:]
    odd = pa.Array.from_buffers(pa.binary(), len(array), [None, offsets, shifted])[1:]
    table = events(lines)
    moved = table.set_column(2, "body", odd)
    assert counted(Question(), moved) == counted(Question(), table) == parsed(Question(), table)


@pytest.mark.parametrize(("later_us", "left"), [(0, []), (1, [0]), (1_000_000, [0]), (1_000_001, [0, 1])])
def test_lines_before_the_oldest_open_pane_are_left(later_us: int, left: list[int]) -> None:
    at = datetime(2015, 5, 17, 10, tzinfo=UTC)
    lines = [combined().replace(TIME, apache_time(at + timedelta(seconds=second))).encode() for second in range(3)]
    question = Question(open_from=at + timedelta(microseconds=later_us))
    assert left_by_kernels(question, events(lines)) == left


def test_offsets_that_lead_astray_are_not_followed() -> None:
    line = combined().encode()
    size = len(line)
    content = pa.py_buffer(line * 3)
    for offsets, left in (
        ([0, size, 2 * size, 3 * size], []),
        ([0, 9 * size, size, 2 * size], [0, 1]),
        ([0, -size, size, 2 * size], [0, 1]),
        ([0, size, 0, size], [1, 2]),
    ):
        buffer = pa.py_buffer(np.array(offsets, np.int32))
        lines = pa.Array.from_buffers(pa.binary(), 3, [None, buffer, content])
        arrays = SumArrays(LineForm(server=False, headers=True, may_go_on=False), UrlRule.PATH, 1)
        assert arrays.add(lines, None).tolist() == left
