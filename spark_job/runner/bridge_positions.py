"""Asks the bridges where a job stands: where its consumer begins, and how many events wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.errors import AccountingError, SparkJobError
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_job.source.options import FlumeOptions

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
