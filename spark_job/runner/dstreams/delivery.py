"""Delivers each batch on the driver: stores its result with the account of its lines, then releases its events.

::

    deliver   collect the result                     computes the batch; its tasks write audit files
              store it under the batch time          one transaction: rows, offsets, numbers of lines
              delete its audit, keep dead letters
              release events that no result needs
    finish    make room for more planned events

The transaction is what makes a kill harmless. Killed before its end, the batch runs again and is stored then. Killed
after it, the batch runs again and changes nothing: its time is not after the newest stored one. Events are released
last, so they are still at the bridge in both cases.

Between two slides a batch has no result. Its lines are stored with the next result, which includes them.

A bridge that goes away while tasks read from it fails the batch. Spark would end the streams; here the batch is retried
with growing pauses until the bridge is back or the job is stopped. Its plan does not change.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from headrace.common.durations import MILLISECOND
from headrace.common.retry import Backoff
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.errors import BridgeUnavailable
from spark_job.runner.dstreams.batch_entry import entry_of
from spark_job.runner.dstreams.context import is_recoverable
from spark_job.runner.progress import NewestBatch
from spark_job.runner.spark_errors import cause_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    import pyarrow as pa
    from pyspark.core.rdd import RDD

    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.batch_planner import BatchPlanner
    from spark_job.runner.dstreams.batch_plans import BatchPlans
    from spark_job.runner.dstreams.intervals import Intervals
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.results.row_results import RowResults

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
CHECKPOINT_POLL_S = 0.01


class ResultDelivery:
    """Stores the results of batches. Spark calls it on its own threads, one batch at a time.

    Any thread may read ``positions``, ``tally``, ``newest`` and ``failure``.

    Args:
        job: the job.
        intervals: its batch interval, window and slide.
        planner: releases events, and plans more once batches are finished.
        plans: the durable plans.
        results: stores and shows results.
        folder: has the audit files, the dead letters and Spark's checkpoint.
        stop: set when the job must end.
        allow_loss: whether events of a batch may be missing; they count as lost.
        now: the wall clock.
    """

    def __init__(
        self,
        job: DStreamJob,
        intervals: Intervals,
        planner: BatchPlanner,
        plans: BatchPlans,
        results: RowResults,
        folder: JobFolder,
        stop: Event,
        *,
        allow_loss: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._job = job
        self._intervals = intervals
        self._planner = planner
        self._plans = plans
        self._results = results
        self._audit = folder.audit
        self._dead_letters = DeadLetters(folder.audit, folder.dead_letters)
        self._checkpoint = folder.checkpoint.folder
        self._stop = stop
        self._allow_loss = allow_loss
        self._now = now
        self._stored_ms = results.table.newest_batch_id()
        self.newest: NewestBatch | None = None
        self.positions: dict[str, int] = plans.positions(self._stored_ms)
        self.tally: Tally = results.table.tally()
        self.failure: Exception | None = None

    def deliver(self, time_ms: int, rdd: RDD[Any]) -> None:
        """Compute, store and show the result of a batch.

        Raises:
            AccountingError: the audit files do not cover the batch.
            SinkError: it cannot be stored.
            SparkJobError: any other class of it: why it cannot be computed.
        """
        self._refuse_after_failure()
        try:
            rows = self._collect(time_ms, rdd)
            self._wait_until_recoverable()
            stored = self._job.stored_rows(time_ms, self._intervals.window, rows)
            is_new = time_ms > self._stored_ms
            if is_new:
                self._record(time_ms, stored)
            title = self._job.title(time_ms, self._intervals.window)
            self._results.show(stored.select(list(self._job.columns)), title=title)
            if is_new:
                self._release(time_ms)
        except Exception as error:
            self.failure = self.failure or error
            raise

    def finish(self, time_ms: int) -> None:
        """Finish a batch, with or without a result: its events make room for others."""
        self._refuse_after_failure()
        self._planner.finish(time_ms)
        self.newest = NewestBatch(time_ms, self._now())

    def _refuse_after_failure(self) -> None:
        """Stop after a failure: the next result would store the lines of the failed batch as its own."""
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

    def _wait_until_recoverable(self) -> None:
        """Wait until Spark has written its first checkpoint: without one, a killed job starts with new streams.

        ``window``: the new streams lack the batches that are stored, and their windows the events of these.
        ``state``: the new state lacks them too, and a smaller value would replace the stored one.
        ``batch``: the new streams begin after the stored events, and no result needs these again: nothing to wait for.
        """
        while (
            self._job.kind != "batch"
            and not is_recoverable(self._checkpoint)
            and not self._stop.wait(CHECKPOINT_POLL_S)
        ):
            pass

    def _record(self, time_ms: int, rows: pa.Table) -> None:
        plans = self._plans.between(self._stored_ms, time_ms)
        entry, counted = entry_of(plans, self._results.table.table_id(), self._audit, allow_loss=self._allow_loss)
        copy = self._results.record(entry, rows, lines=counted)
        copy(self._results.tally())
        self._stored_ms = time_ms
        self._planner.note_stored(time_ms)

    def _release(self, time_ms: int) -> None:
        """Give up what was kept until the batch was stored: its audit, and events that no result needs any more."""
        # Whoever sees these ends a bounded run, so they follow the output on the console.
        self.positions, self.tally = self._plans.positions(time_ms), self._results.table.tally()
        dropped = self._dead_letters.clear_audit(self.positions)
        if dropped:
            self._results.table.add_dropped_dead_letters(dropped)
            logger.warning("%d malformed lines were not kept: the folder of dead letters is full", dropped)
        # A recovery needs the events of one horizon. Plans are kept for two: they are small, and a question for a
        # deleted plan would end the job.
        horizon_ms = self._intervals.horizon // MILLISECOND
        released = self._plans.before(time_ms - horizon_ms)
        if released:
            self._planner.release(released)
        self._plans.forget_before(time_ms - 2 * horizon_ms)
