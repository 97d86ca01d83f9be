"""Arithmetic on the offsets of a query: ranges between two of them, the parts of a range, and shares of a limit.

The offset of a query maps each log to the next event to read. Spark stores it as JSON, with sorted keys since Spark
compares the texts: ``{"<log id>": next offset, ...}``. No function here asks a bridge, and the same arguments always
give the same result.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from spark_job.errors import OffsetsError
from spark_job.ranges import LogRange, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EVENTS_PER_PART: Final = 500_000
"""The most events of one part: a task that reads them takes well under a second."""


def read_offsets(value: Mapping[str, object], what: str) -> dict[str, int]:
    """Return offsets that Spark gives back, checked and sorted.

    Args:
        value: log id to offset.
        what: the word for error texts: ``start`` or ``end``.

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
    """Return the ranges between two offsets, by log id; logs with nothing to read are left out.

    Every log of ``end`` must be in ``start``. A log of ``start`` that is not in ``end`` was given up and has no range.

    Raises:
        OffsetsError: a start is after its end. An empty range instead would silently skip the events in between.
    """
    ranges = []
    for log_id in sorted(end):
        if start[log_id] > end[log_id]:
            raise OffsetsError(
                f"log {log_id}: the range starts at {start[log_id]}, after its end {end[log_id]}; the checkpoint does "
                "not belong to the offset that the bridge keeps for this consumer"
            )
        if start[log_id] < end[log_id]:
            ranges.append(LogRange(log_id, start[log_id], end[log_id]))
    return ranges


def split(ranges: Iterable[LogRange], min_parts: int) -> list[Part]:
    """Cut ranges into parts; within a log, their sizes differ by at most one event.

    The result has at least ``min_parts`` parts if the ranges have so many events. Each log gets parts in proportion to
    its events, rounded up.
    """
    ranges = list(ranges)
    total = sum(log_range.events for log_range in ranges)
    parts = []
    for log_range in ranges:
        share = -(-log_range.events * min_parts // total)
        # Never more parts than events, or some would be empty.
        count = min(max(share, -(-log_range.events // EVENTS_PER_PART)), log_range.events)
        # Each cut is computed from the whole range, so that rounding does not add up.
        cuts = [log_range.start + log_range.events * cut // count for cut in range(count + 1)]
        parts += [Part(low, high, log_range) for low, high in pairwise(cuts)]
    return parts


def share_fairly(waiting: Mapping[str, int], limit: int, turn: int) -> dict[str, int]:
    """Share ``limit`` among logs in proportion to the events that wait in each, without starving any.

    Every log with waiting events gets at least 1 while ``limit`` allows. If it does not, ``turn`` (a number that
    changes with each micro-batch) says which logs come first. No log gets more than waits in it, and the sum never
    exceeds ``limit``.
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
    # Zero if one event waits in each log: all of them are shared out already.
    total = sum(above_one.values()) or 1
    shares = {log_id: 1 + min(rest * above_one[log_id] // total, above_one[log_id]) for log_id in logs}
    # Rounding down leaves a few events of the limit over.
    left = limit - sum(shares.values())
    for log_id in logs:
        more = min(left, waiting[log_id] - shares[log_id])
        shares[log_id] += more
        left -= more
    return shares
