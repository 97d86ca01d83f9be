"""Offsets of a query: for each log the next event to read; the ranges between two of them, their limits and parts.

As JSON, the form in which Spark keeps them: ``{"<log id>": next offset, ...}``, in order, since Spark compares texts.
Everything here is arithmetic on such maps: no bridge is asked, and the same arguments always give the same result.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from spark_job.errors import OffsetsError
from spark_job.ranges import LogRange, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EVENTS_PER_PART: Final = 500_000
"""A range is cut into parts of at most so many events: a task of well under a second."""


def read_offsets(value: Mapping[str, object], what: str) -> dict[str, int]:
    """Return offsets as Spark hands them back, checked and in order.

    Raises:
        OffsetsError: they are not a map of log ids to offsets.
    """
    checked = {}
    for log_id in sorted(value):
        offset = value[log_id]
        if type(offset) is not int or offset < 0:
            raise OffsetsError(
                f"{what} offset of log {log_id}: {offset!r} is not an offset; was the checkpoint edited?"
            )
        checked[log_id] = offset
    return checked


def ranges_between(start: Mapping[str, int], end: Mapping[str, int]) -> list[LogRange]:
    """Return what lies between two offsets, by log id; logs with nothing to read are left out.

    Every log of ``end`` must be in ``start``. A log of ``start`` that is not in ``end`` was given up and has no range.

    Raises:
        OffsetsError: a start is behind its end. An empty answer would skip the events in between for good.
    """
    ranges = []
    for log_id in sorted(end):
        if start[log_id] > end[log_id]:
            raise OffsetsError(
                f"log {log_id}: the batch starts at {start[log_id]}, after its end {end[log_id]}; the checkpoint and "
                "what the bridge keeps for this consumer do not belong together"
            )
        if start[log_id] < end[log_id]:
            ranges.append(LogRange(log_id, start[log_id], end[log_id]))
    return ranges


def split(ranges: Iterable[LogRange], min_parts: int) -> list[Part]:
    """Cut ranges into parts whose sizes differ by one event at most within a log.

    There are ``min_parts`` parts or more when there are so many events: each log has its share of them, rounded up.
    """
    ranges = list(ranges)
    total = sum(log_range.events for log_range in ranges)
    parts = []
    for log_range in ranges:
        share = -(-log_range.events * min_parts // total)
        count = min(max(share, -(-log_range.events // EVENTS_PER_PART)), log_range.events)
        cuts = [log_range.start + log_range.events * cut // count for cut in range(count + 1)]
        parts += [Part(low, high, log_range) for low, high in pairwise(cuts)]
    return parts


def share_fairly(waiting: Mapping[str, int], limit: int, turn: int) -> dict[str, int]:
    """Spread ``limit`` over logs in proportion to what waits in each, and let none starve.

    Every log with something waiting gets at least 1, as far as ``limit`` reaches; where it does not, ``turn`` (a number
    that changes from batch to batch) says who goes first. What is given never exceeds ``limit`` nor what waits.
    """
    logs = sorted(log_id for log_id, count in waiting.items() if count > 0)
    if not logs:
        return {}
    if sum(waiting[log_id] for log_id in logs) <= limit:
        return {log_id: waiting[log_id] for log_id in logs}
    first = turn % len(logs)
    logs = (logs[first:] + logs[:first])[:limit]
    rest = limit - len(logs)
    above_one = {log_id: waiting[log_id] - 1 for log_id in logs}
    total = sum(above_one.values()) or 1
    given = {log_id: 1 + min(rest * above_one[log_id] // total, above_one[log_id]) for log_id in logs}
    left = limit - sum(given.values())
    for log_id in logs:
        more = min(left, waiting[log_id] - given[log_id])
        given[log_id] += more
        left -= more
    return given
