"""Turns ranges of logs into the partitions that tasks read, and plans a whole batch read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.errors import OffsetsError, OptionError
from spark_job.source.offsets import ranges_between, split
from spark_job.source.range_reader import LossPolicy, RangePartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spark_job.ranges import LogRange
    from spark_job.source.bridges import Bridges, LocatedLog, PollResult
    from spark_job.source.options import FlumeOptions, Position


def assign(ranges: Iterable[LogRange], view: PollResult, options: FlumeOptions) -> list[RangePartition]:
    """Return the partitions of ranges; events that are gone are reported, and stay part of a partition without rows.

    So partitions depend on the ranges alone, and the audit of a micro-batch covers its whole range.

    Raises:
        DataLoss: a part of a range is gone, and the options do not allow it.
        OffsetsError: a log holds less than was planned.
    """
    loss = LossPolicy(options.fail_on_data_loss)
    ranges = list(ranges)
    for log_range in ranges:
        _check(log_range, view.logs.get(log_range.log_id), loss)
    addresses = {log_id: located.client.address for log_id, located in view.logs.items()}
    return [RangePartition(addresses.get(part.log_id), part) for part in split(ranges, options.min_partitions)]


def plan_batch(options: FlumeOptions, bridges: Bridges) -> list[RangePartition]:
    """Return the partitions of a batch read; its start and end are resolved now. Every bridge must answer.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: events of the range are gone, and the options do not allow it.
        OffsetsError: a start is behind its end, or an end is beyond what is stored.
        OptionError: an option names a log that no bridge has.
    """
    view = bridges.poll(patient=True)
    view.require_all()
    starting, ending = options.starting, dict(options.ending or ())
    refuse_unknown_logs("startingOffsets", starting.by_log, view)
    refuse_unknown_logs("endingOffsets", options.ending or (), view)
    start, end = {}, {}
    for log_id, located in view.logs.items():
        consumer = located.status.consumers.get(options.consumer or "")
        if starting.word == "committed" and consumer is not None:
            start[log_id] = consumer["committed"]
        else:
            start[log_id] = _resolve(dict(starting.by_log).get(log_id, "earliest"), located)
        end[log_id] = _resolve(ending.get(log_id, "latest"), located)
    return assign(ranges_between(start, end), view, options)


def refuse_unknown_logs(option: str, positions: Iterable[tuple[str, Position]], view: PollResult) -> None:
    """Refuse an option that names a log that no bridge has.

    Raises:
        OptionError: names the log, and the logs that the bridges have.
    """
    for log_id, _ in positions:
        if log_id not in view.logs:
            raise OptionError(f"option {option}: no bridge has log {log_id}; known are {', '.join(sorted(view.logs))}")


def _resolve(position: Position, located: LocatedLog) -> int:
    if position == "earliest":
        return located.status.first_offset
    return located.status.next_offset if position == "latest" else int(position)


def _check(log_range: LogRange, located: LocatedLog | None, loss: LossPolicy) -> None:
    log_id, start, end = log_range.log_id, log_range.start, log_range.end
    if located is None:
        loss.report(f"log {log_id}: events {start} to {end - 1} are lost: no bridge has this log any more")
        return
    if end > located.status.next_offset:
        raise OffsetsError(
            f"log {log_id}: the range ends at {end}, but bridge {located.client.address} has stored only up to "
            f"{located.status.next_offset}; was it restored from an older copy?"
        )
    first = located.status.first_offset
    if first > start:
        loss.report(f"log {log_id}: events {start} to {min(first, end) - 1} are lost: the bridge has deleted them")
