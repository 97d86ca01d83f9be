"""Arithmetic on offsets: ranges, parts, and fair shares of a limit."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.errors import OffsetsError
from spark_job.ranges import LogRange
from spark_job.source.offsets import EVENTS_PER_PART, ranges_between, read_offsets, share_fairly, split

log_ids = st.text("abcdef", min_size=1, max_size=3)
offsets = st.integers(0, 1 << 40)
waiting = st.dictionaries(log_ids, st.integers(0, 1 << 30), max_size=8)
log_ranges = st.dictionaries(log_ids, st.tuples(offsets, st.integers(1, 3_000_000)), max_size=5).map(
    lambda found: [LogRange(log_id, start, start + length) for log_id, (start, length) in sorted(found.items())]
)


@given(st.dictionaries(log_ids, offsets))
def test_offsets_survive_json_with_stable_text(value: dict[str, int]) -> None:
    text = json.dumps(read_offsets(value, "start"))
    backwards = dict(reversed(list(json.loads(text).items())))
    assert json.dumps(read_offsets(backwards, "start")) == text
    assert read_offsets(value, "start") == value


@pytest.mark.parametrize("offset", [-1, "3", None, True, 1.0, {"offset": 1}])
def test_what_is_not_an_offset_is_refused(offset: object) -> None:
    with pytest.raises(OffsetsError, match=r"start offset of log a: .* is not an offset"):
        read_offsets({"a": offset}, "start")


def test_a_start_behind_its_end_is_an_error_not_an_empty_range() -> None:
    with pytest.raises(OffsetsError, match="log a: the range starts at 355, after its end 345"):
        ranges_between({"a": 355}, {"a": 345})


def test_ranges_leave_out_what_is_empty_or_given_up() -> None:
    assert ranges_between({"a": 1, "b": 2, "gone": 9}, {"b": 2, "a": 4}) == [LogRange("a", 1, 4)]


@given(log_ranges, st.integers(1, 20))
def test_parts_cover_the_ranges_once_and_in_order(ranges: list[LogRange], min_parts: int) -> None:
    parts = split(ranges, min_parts)
    for log_range in ranges:
        mine = [part for part in parts if part.whole == log_range]
        assert mine[0].start == log_range.start
        assert mine[-1].end == log_range.end
        assert all(left.end == right.start for left, right in pairwise(mine))
        sizes = {part.end - part.start for part in mine}
        assert max(sizes) - min(sizes) <= 1
        assert 0 < max(sizes) <= EVENTS_PER_PART
    total = sum(log_range.events for log_range in ranges)
    assert len(parts) >= min(min_parts, total)
    assert parts == split(ranges, min_parts)


@given(waiting, st.integers(1, 1 << 31), st.integers(0, 1 << 40))
def test_a_limit_is_spread_fully_and_never_exceeded(waiting: dict[str, int], limit: int, turn: int) -> None:
    shares = share_fairly(waiting, limit, turn)
    assert sum(shares.values()) == min(limit, sum(waiting.values()))
    assert all(0 < share <= waiting[log_id] for log_id, share in shares.items())


@given(waiting.filter(lambda w: any(w.values())), st.integers(10, 1 << 31), st.integers(0, 100))
def test_no_log_starves_when_the_limit_allows_one_each(waiting: dict[str, int], limit: int, turn: int) -> None:
    assert set(share_fairly(waiting, limit, turn)) == {log_id for log_id, count in waiting.items() if count}


def test_shares_are_in_proportion() -> None:
    assert share_fairly({"a": 9_000, "b": 1_000}, 1_000, 0) == {
        "a": pytest.approx(900, abs=2),
        "b": pytest.approx(100, abs=2),
    }


def test_logs_take_turns_where_the_limit_does_not_reach_all() -> None:
    served = {log_id for turn in range(3) for log_id in share_fairly({"a": 10**9, "b": 1, "c": 5}, 1, turn)}
    assert served == {"a", "b", "c"}
