"""The kernel of times alone: where the request starts, and that a minute that is known changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse.kernels import line_times
from spark_job.parse.kernels.loads import loads_of
from tests.support.access_lines import TIME, apache_time, combined

AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def found_in(*lines: str, form: int = 0) -> tuple[bytes, list[list[int]]]:
    pieces = [line.encode() for line in lines]
    content = b"".join(pieces)
    data = np.frombuffer(content, np.uint8)
    bounds = np.cumsum([0, *map(len, pieces)]).astype(np.int32)
    found = np.full((len(lines), 3), -7, np.int64)
    line_times.find_times(data, loads_of(data), bounds[:-1], bounds[1:], form, found)
    return content, found.tolist()


def test_the_request_and_the_end_of_the_line_are_found() -> None:
    content, found = found_in(combined() + "\r\r", combined("PUT / HTTP/2"))
    parts = [content[row[line_times.REQUEST_START] : row[line_times.STOP]] for row in found]
    assert parts == [combined().split('"', 1)[1].encode(), combined("PUT / HTTP/2").split('"', 1)[1].encode()]


@given(st.lists(st.sampled_from([0, 1, 59, 60, 3600, 86_400, 400 * 86_400]), max_size=8))
def test_each_line_has_its_own_time(steps_s: list[int]) -> None:
    times = [AT + timedelta(seconds=sum(steps_s[:count])) for count in range(len(steps_s) + 1)]
    _, found = found_in(*(combined().replace(TIME, apache_time(time)) for time in times))
    assert [row[line_times.TIME_US] for row in found] == [int(time.timestamp()) * 1_000_000 for time in times]


@pytest.mark.parametrize("second", ["61", "6:", " 3", "-1", "ab"])
def test_a_second_that_does_not_exist_is_not_one_of_a_known_minute(second: str) -> None:
    _, found = found_in(combined(), combined().replace(":03 +", f":{second} +"), combined())
    times = [row[line_times.TIME_US] for row in found]
    assert times[1] == line_times.NOT_TAKEN
    assert times[0] == times[2] == int(AT.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("old", "new"), [("+0000", "+0001"), ("10:05", "10:06"), ("17/May", "18/May"), ("2015", "2016")]
)
def test_another_minute_is_read(old: str, new: str) -> None:
    _, found = found_in(combined(), combined().replace(old, new))
    times = [row[line_times.TIME_US] for row in found]
    assert line_times.NOT_TAKEN not in times
    assert times[0] != times[1]


@pytest.mark.parametrize("user", ["-", "frank", "f", "a-long-name-of-a-user"])
def test_a_word_of_any_length_may_stand_before_the_time(user: str) -> None:
    line = combined(user=user)
    content, found = found_in(line)
    assert content[found[0][line_times.REQUEST_START] :] == line.split('"', 1)[1].encode()
