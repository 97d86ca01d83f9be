"""Asks the bridges where a job stands, and tells them: where it starts, how many events wait, what is stored.

A job whose results table knows the offsets that it has reached starts there, whatever its consumer has committed. The
table is always at least as far, since the commit follows it::

    offsets of a log    first kept     committed     in the table        end
                        |--------------|-------------|-------------------|
    a query that starts reads                        from here

Only a table that was lost, or replaced by an older copy, is behind. Then the job counts the events again that the
bridge still keeps; if the bridge has deleted some of them, the job refuses to start.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from avro_bridge.errors import BridgeError
from spark_job.errors import AccountingError, DataLoss, SparkJobError
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_job.source.options import FlumeOptions

logger = logging.getLogger(__name__)

STATUS_PATIENCE_S = 1.0


def status_bridges(options: FlumeOptions) -> Bridges:
    """Return connections for status questions, which give up soon: a job's report must not wait for a silent bridge."""
    return Bridges(options, RetryPolicy(STATUS_PATIENCE_S))


def first_offset(bridges: Bridges, consumer: str, log_id: str) -> int:
    """Return where a consumer begins to read a log of which it has read nothing yet.

    Raises:
        AccountingError: no bridge that answers has the log or knows the consumer.
    """
    place = bridges.poll(patient=True).logs.get(log_id)
    if place is None or consumer not in place.status.consumers:
        raise AccountingError(f"no bridge tells where consumer {consumer!r} begins to read log {log_id}")
    return int(place.status.consumers[consumer]["committed"])


def starting_offsets(
    bridges: Bridges, consumer: str, positions: Mapping[str, int], new_log: str, *, allow_loss: bool = False
) -> dict[str, int]:
    """Return, by log id, where a query starts whose results are stored up to ``positions``.

    Args:
        bridges: all of them must answer.
        consumer: the job's name at the bridges.
        positions: log id to the offset up to which results are stored.
        new_log: where to start in a log of which nothing is stored: ``earliest`` or ``latest``.
        allow_loss: whether to go on behind events that are gone.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: events of which no result is stored are gone.
    """
    view = bridges.poll(patient=True)
    view.require_all()
    found = {}
    for log_id, located in sorted(view.logs.items()):
        start, first = positions.get(log_id), located.status.first_offset
        if start is None:
            start = located.client.start(consumer, log_id, new_log)
        if start < first and not allow_loss:
            raise DataLoss(
                f"log {log_id}: the results are stored up to offset {start}, and the bridge has deleted the events "
                f"{start} to {first - 1}: it was told that they were stored. Was the results table lost, or replaced "
                "by an older copy? Put the newest copy back, or go on without these events with --allow-data-loss"
            )
        found[log_id] = max(start, first)
    return found


def commit_positions(bridges: Bridges, consumer: str, positions: Mapping[str, int]) -> None:
    """Tell the bridges that the results up to ``positions`` are stored; the next commit repeats one that fails."""
    for log_id, located in bridges.poll(patient=False).logs.items():
        if log_id not in positions:
            continue
        try:
            located.client.commit(consumer, log_id, positions[log_id])
        except (BridgeError, SparkJobError) as error:
            logger.warning("the bridge did not accept the commit of log %s: %s", log_id, error)


def count_waiting(bridges: Bridges, positions: Mapping[str, int]) -> int | None:
    """Return how many events the bridges hold beyond ``positions``; None if a bridge does not answer.

    Args:
        bridges: asked once, without patience.
        positions: log id to the offset up to which everything is stored.
    """
    try:
        view = bridges.poll(patient=False)
    except SparkJobError:
        return None
    if view.silent:
        return None
    # A log may begin above our position: what retention dropped does not wait.
    return sum(
        max(0, place.status.next_offset - max(positions.get(log_id, 0), place.status.first_offset))
        for log_id, place in view.logs.items()
    )
