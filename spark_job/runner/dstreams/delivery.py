"""What happens on the driver with each batch: its result is stored, then its lines are booked and its events released.

::

    deliver   collect the result                       computes the batch; its tasks leave the audit
              store it under the batch time            a batch that comes again finds itself stored
    settle    book the batches whose result is stored  read = counted + malformed, from ranges and audit
              clear their audit, keep dead letters
              release events that nothing reaches any more

Between two slides a batch has no result; it is booked with the next one, which holds its events.

A bridge that is away while tasks read from it fails the batch. Spark would end the streams; here the batch is tried
again, with growing pauses, until the bridge is back or the job is stopped. The plan of the batch stays as it is.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from spark_job.accounting.audit_file import read_audit
from spark_job.errors import BridgeUnavailable
from spark_job.runner.dstreams.context import is_recoverable
from spark_job.runner.dstreams.part_reader import AUDIT_PANE_US
from spark_job.runner.dstreams.planned_batches import Booking
from spark_job.runner.query_watch import cause_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from pyspark.core.rdd import RDD

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.batch_planner import Feed
    from spark_job.runner.dstreams.planned_batches import Batch, Batches
    from spark_job.runner.dstreams.results import Results

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
CHECKPOINT_POLL_S = 0.01


class ResultDelivery:
    """Stores results and books batches; called by Spark on threads of its own, one batch at a time.

    ``positions``, ``tally``, ``settled_ms`` and ``failure`` may be read from any thread.

    Args:
        feed: told what is released, and which batches are done.
        batches: the durable plans.
        results: where results go.
        audit: folder in which tasks leave what they read.
        dead_letters: keeps malformed lines.
        checkpoint: Spark's folder.
        horizon_ms: how far behind its newest booked batch a recovery may reach back.
        stop: set when the job is to end.
        allow_loss: whether events of a batch may be missing; they are booked as lost.
    """

    def __init__(
        self,
        feed: Feed,
        batches: Batches,
        results: Results,
        audit: Path,
        dead_letters: DeadLetters,
        checkpoint: Path,
        horizon_ms: int,
        stop: Event,
        *,
        allow_loss: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._feed = feed
        self._batches = batches
        self._results = results
        self._audit = audit
        self._dead_letters = dead_letters
        self._checkpoint = checkpoint
        self._horizon_ms = horizon_ms
        self._stop = stop
        self._allow_loss = allow_loss
        self._now = now
        self._delivered_ms: int | None = None
        self.settled_ms: int | None = None
        self.settled_at: datetime | None = None
        self.positions: dict[str, int] = batches.booked_positions()
        self.tally: Tally = batches.tally()
        self.failure: Exception | None = None

    def deliver(self, time_ms: int, rdd: RDD[Any]) -> None:
        """Compute and store the result of a batch.

        Raises:
            SinkError: it cannot be stored.
            SparkJobError: any other class of it: why it cannot be computed.
        """
        self._refuse_after_failure()
        try:
            rows = self._collect(time_ms, rdd)
            # Before the first checkpoint a killed job starts anew, and would store the same events under other times.
            while not is_recoverable(self._checkpoint) and not self._stop.wait(CHECKPOINT_POLL_S):
                pass
            self._results.store(time_ms, rows)
            self._delivered_ms = time_ms
        except Exception as error:
            self.failure = self.failure or error
            raise

    def settle(self, time_ms: int) -> None:
        """Book what has been stored.

        Raises:
            AccountingError: an audit does not cover its batch.
        """
        self._refuse_after_failure()
        try:
            if self._delivered_ms is not None:
                self._book(self._delivered_ms)
            self._feed.done(time_ms)
            self.settled_ms, self.settled_at = time_ms, self._now()
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _refuse_after_failure(self) -> None:
        """Let no batch pass one that failed: its events would be booked although their result is not stored."""
        if self.failure is not None:
            raise self.failure

    def _collect(self, time_ms: int, rdd: RDD[Any]) -> list[tuple[Any, ...]]:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return list(rdd.collect())
            except (Py4JJavaError, PySparkException) as error:
                cause = cause_of(error)
                if not isinstance(cause, BridgeUnavailable) or self._stop.is_set():
                    raise cause from error
                logger.warning("batch %d is tried again in %g s: %s", time_ms, pause_s, cause)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _book(self, up_to_ms: int) -> None:
        due = self._batches.unbooked(up_to_ms)
        if not due:
            return
        self._batches.book(self._booking(batch) for batch in due)
        self.positions, self.tally = self._batches.booked_positions(), self._batches.tally()
        if any(batch.ranges for batch in due):
            dropped = self._dead_letters.clear_audit(self.positions)
            if dropped:
                logger.warning("%d malformed lines were not kept: the folder of dead letters is full", dropped)
        horizon_ms = up_to_ms - self._horizon_ms
        released = self._batches.before(horizon_ms)
        if released:
            self._feed.release(released)
        self._batches.forget_before(horizon_ms - self._horizon_ms)

    def _booking(self, batch: Batch) -> Booking:
        events = counted = malformed = 0
        for log_range in batch.ranges:
            for part in read_audit(self._audit, log_range, AUDIT_PANE_US, allow_loss=self._allow_loss):
                events += part.events
                malformed += part.malformed
                counted += sum(part.panes.values())
        whole = sum(log_range.events for log_range in batch.ranges)
        return Booking(batch.time_ms, read=events, counted=counted, malformed=malformed, lost=whole - events)
