r"""Watches a running query: stops it between two micro-batches, detects that it died or stalled, reports progress.

::

                    stop requested                the running micro-batch is committed
    running ------------------------> stopping ----------------------------------> stopped
       |  \--- all up to the drain file counted ---/
       |--- the query ended with an error ------------------------------------> QueryFailed, or that error
       `--- events wait, and no micro-batch has ended for stall_after --------> QueryStalled

``StreamingQuery.stop`` cancels the running micro-batch. That loses nothing, since it runs again on the next start, but
its work is wasted; so the stop first waits, for a limited time, until Spark's commit log has that micro-batch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from pyspark.errors import PySparkException

from spark_job.errors import QueryFailed, QueryStalled, SparkJobError
from spark_job.runner.bridge_positions import count_waiting
from spark_job.runner.drain_file import drain_ends, is_drained
from spark_job.runner.progress import write_progress
from spark_job.runner.spark_errors import JAVA_IS_GONE, cause_of, first_line, java_has_died

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from pyspark.sql.streaming.listener import StreamingQueryProgress
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.tally import Tally
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.progress import NewestBatch
    from spark_job.source.bridges import Bridges

LOOK_EVERY_S = 0.25
REPORT_EVERY_S = 1.0
STOP_WITHIN_S = 30.0
STOP_POLL_S = 0.02


class Writer(Protocol):
    """The batch function of a query, as the watch reads it from another thread.

    Attributes:
        newest: the newest micro-batch that this process stored.
        positions: log id to the offset up to which everything is stored.
        tally: the terms of the sum over all micro-batches ever stored.
        failure: the exception that the function raised.
    """

    newest: NewestBatch | None
    positions: dict[str, int]
    tally: Tally
    failure: Exception | None


class QueryWatch:
    """Watches one query until it ends.

    Args:
        query: the running query.
        writer: its batch function, which knows what is stored.
        folder: the job's folder.
        bridges: asked once a second how many events wait.
        stall_after_s: how long events may wait without a micro-batch.
        drain_to_file: ends the run; see :mod:`spark_job.runner.drain_file`.
        background: called once a second; starts what the batches put off, without waiting, and raises its errors.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        query: StreamingQuery,
        writer: Writer,
        folder: JobFolder,
        bridges: Bridges,
        stall_after_s: float,
        drain_to_file: Path | None = None,
        background: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._query = query
        self._writer = writer
        self._folder = folder
        self._bridges = bridges
        self._stall_after_s = stall_after_s
        self._drain_to_file = drain_to_file
        self._background = background
        self._clock = clock
        self._waiting: int | None = None
        self._next_report_s = clock()
        self._moved_s = clock()
        self._seen_batch = -1

    def until_the_end(self, stop: Event) -> None:
        """Return once the query has stopped, because a stop was requested or everything is drained.

        Raises:
            QueryFailed: the query ended without a request; an error of this package comes through as it is.
            QueryStalled: events wait and no micro-batch ends.
        """
        try:
            while not stop.wait(LOOK_EVERY_S) and not is_drained(self._drain_to_file, self._writer.positions):
                self._check_alive()
                if self._clock() >= self._next_report_s:
                    self._next_report_s = self._clock() + REPORT_EVERY_S
                    self._background()
                    self._check_progress()
            self.report("stopping")
            self._stop()
        except (*JAVA_IS_GONE, SparkJobError) as error:
            if stop.is_set():
                # A signal to the process group ends Java and its workers too. Everything stored is safe on disk.
                return
            if isinstance(error, SparkJobError):
                raise
            raise java_has_died(self._folder.root) from error

    def _check_alive(self) -> None:
        if self._query.isActive:
            return
        error = self._query.exception()
        if error is None:
            raise QueryFailed("the query ended without an error; was it stopped from elsewhere?")
        raise cause_of(error, self._writer.failure) from error

    def report(self, state: str, error: str = "") -> None:
        """Write ``progress.json``."""
        write_progress(
            self._folder.progress,
            state,
            self._writer.newest,
            positions=self._writer.positions,
            tally=self._writer.tally,
            waiting=self._waiting,
            spark=self._spark_progress(),
            error=error,
        )

    def _spark_progress(self) -> StreamingQueryProgress | None:
        try:
            return self._query.lastProgress
        except JAVA_IS_GONE:
            return None

    def _check_progress(self) -> None:
        newest = self._writer.newest
        if newest is not None and newest.number != self._seen_batch:
            self._seen_batch, self._moved_s = newest.number, self._clock()
        self._waiting = count_waiting(self._bridges, self._writer.positions)
        if not self._waiting:
            # None: a bridge does not answer. That is the bridge's problem, not a stall of this query.
            self._moved_s = self._clock()
        self.report("running" if drain_ends(self._drain_to_file) is None else "draining")
        still_s = self._clock() - self._moved_s
        if still_s > self._stall_after_s:
            raise QueryStalled(f"{self._waiting:,} events wait, and no micro-batch has ended for {still_s:.0f} seconds")

    def _stop(self) -> None:
        """Stop the query between two micro-batches, or inside one that takes longer than :data:`STOP_WITHIN_S`."""
        deadline_s = self._clock() + STOP_WITHIN_S
        newest = self._folder.checkpoint.newest_committed()
        while self._batch_runs() and self._clock() < deadline_s:
            # The micro-batch that ran is committed. Stop now, before the next one begins work that would be wasted.
            if self._folder.checkpoint.newest_committed() != newest:
                break
            time.sleep(STOP_POLL_S)
        try:
            self._query.stop()
        except PySparkException as error:
            # Spark cannot interrupt every wait inside it. The process ends anyway.
            self.report("stopping", error=f"the query did not stop in time: {first_line(str(error))}")

    def _batch_runs(self) -> bool:
        status = self._query.status
        return bool(self._query.isActive and status["isTriggerActive"] and status["isDataAvailable"])
