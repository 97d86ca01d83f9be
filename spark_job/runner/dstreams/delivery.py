"""Delivers each batch on the driver: stores its result, then adds its lines to the sum and releases its events.

::

    deliver   collect the result                     computes the batch; its tasks write audit files
              store it under the batch time          a batch that runs again finds its number stored
    finish    account for the batches whose result   read = counted + malformed, from plans and audit files
              is stored
              delete their audit, keep dead letters
              release events that no result needs

The order is what makes a kill harmless. Killed before ``deliver`` has stored the result, the batch runs again. Killed
between the two, it runs again, changes nothing in the table, and is accounted for then. Events are released last, so
they are still at the bridge in both cases.

Between two slides a batch has no result; it is accounted for with the next result, which includes its events.

A bridge that goes away while tasks read from it fails the batch. Spark would end the streams; here the batch is retried
with growing pauses until the bridge is back or the job is stopped. Its plan does not change.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from headrace.common.retry import Backoff
from spark_job.accounting.audit_file import read_audit
from spark_job.errors import BridgeUnavailable
from spark_job.runner.dstreams.context import is_recoverable
from spark_job.runner.dstreams.part_reader import AUDIT_PANE_US
from spark_job.runner.dstreams.planned_batches import BatchAccount
from spark_job.runner.progress import NewestBatch
from spark_job.runner.spark_errors import cause_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from pyspark.core.rdd import RDD

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.batch_planner import BatchPlanner
    from spark_job.runner.dstreams.planned_batches import PlannedBatch, PlannedBatches
    from spark_job.runner.dstreams.results import BatchResults

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
CHECKPOINT_POLL_S = 0.01


class ResultDelivery:
    """Stores results and accounts for batches. Spark calls it on its own threads, one batch at a time.

    Any thread may read ``positions``, ``tally``, ``newest`` and ``failure``.

    Args:
        planner: releases events, and plans more once batches are finished.
        batches: the durable plans.
        results: stores and shows results.
        audit: folder of the tasks' audit files.
        dead_letters: keeps malformed lines.
        checkpoint: Spark's checkpoint folder.
        horizon_ms: how far behind the newest batch in the sum a recovery may reach back.
        stop: set when the job must end.
        allow_loss: whether events of a batch may be missing; they count as lost.
        now: the wall clock.
    """

    def __init__(
        self,
        planner: BatchPlanner,
        batches: PlannedBatches,
        results: BatchResults,
        audit: Path,
        dead_letters: DeadLetters,
        checkpoint: Path,
        horizon_ms: int,
        stop: Event,
        *,
        allow_loss: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._planner = planner
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
        self.newest: NewestBatch | None = None
        self.positions: dict[str, int] = batches.accounted_positions()
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
            # Until Spark has written its first checkpoint, a killed job starts with new streams. These would plan other
            # batch times for the same events, and store their results a second time.
            while not is_recoverable(self._checkpoint) and not self._stop.wait(CHECKPOINT_POLL_S):
                pass
            self._results.store(time_ms, rows)
            self._delivered_ms = time_ms
        except Exception as error:
            self.failure = self.failure or error
            raise

    def finish(self, time_ms: int) -> None:
        """Account for the batches whose results are stored.

        Raises:
            AccountingError: the audit files do not cover a batch.
        """
        self._refuse_after_failure()
        try:
            if self._delivered_ms is not None:
                self._account_up_to(self._delivered_ms)
            self._planner.finish(time_ms)
            self.newest = NewestBatch(time_ms, self._now())
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _refuse_after_failure(self) -> None:
        """Stop after a failure: a later batch would account for the failed one, whose result is not stored."""
        if self.failure is not None:
            raise self.failure

    def _collect(self, time_ms: int, rdd: RDD[Any]) -> list[tuple[Any, ...]]:
        pauses = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                return list(rdd.collect())
            except (Py4JJavaError, PySparkException) as error:
                cause = cause_of(error)
                # Only a bridge that is away comes back without help. Anything else would fail in the same way again.
                if not isinstance(cause, BridgeUnavailable) or self._stop.is_set():
                    raise cause from error
                pause_s = pauses.take()
                logger.warning("batch %d is tried again in %g s: %s", time_ms, pause_s, cause)
                self._stop.wait(pause_s)

    def _account_up_to(self, up_to_ms: int) -> None:
        due = self._batches.unaccounted(up_to_ms)
        if not due:
            return
        self._batches.account_for(self._account_of(batch) for batch in due)
        self.positions, self.tally = self._batches.accounted_positions(), self._batches.tally()
        if any(batch.ranges for batch in due):
            dropped = self._dead_letters.clear_audit(self.positions)
            if dropped:
                logger.warning("%d malformed lines were not kept: the folder of dead letters is full", dropped)
        # A recovery needs the events of one horizon. Plans are kept for two: they are small, and a question for a
        # deleted plan would end the job.
        horizon_ms = up_to_ms - self._horizon_ms
        released = self._batches.before(horizon_ms)
        if released:
            self._planner.release(released)
        self._batches.forget_before(horizon_ms - self._horizon_ms)

    def _account_of(self, batch: PlannedBatch) -> BatchAccount:
        events = counted = malformed = 0
        for log_range in batch.ranges:
            for part in read_audit(self._audit, log_range, AUDIT_PANE_US, allow_loss=self._allow_loss):
                events += part.events
                malformed += part.malformed
                counted += sum(part.panes.values())
        whole = sum(log_range.events for log_range in batch.ranges)
        return BatchAccount(batch.time_ms, read=events, counted=counted, malformed=malformed, lost=whole - events)
