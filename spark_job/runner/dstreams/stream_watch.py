r"""Watches running streams: stops them between two batches, detects that they failed or stalled, reports progress.

::

                    stop requested                 batches under way are finished
    running ------------------------> stopping ---------------------------------> stopped
       |  \--- everything up to the drain file is in the sum ---/
       |--- a batch failed ----------------------------------------------------> that batch's error
       `--- events wait, and no batch has finished for stall_after ------------> QueryStalled
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError

from spark_job.errors import QueryFailed, QueryStalled, SparkJobError
from spark_job.runner.bridge_positions import count_waiting
from spark_job.runner.drain_file import drain_ends, is_drained
from spark_job.runner.dstreams.context import error_of
from spark_job.runner.progress import write_progress
from spark_job.runner.spark_errors import JAVA_IS_GONE, cause_of, java_has_died
from spark_job.runner.watch import LOOK_EVERY_S, REPORT_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from pyspark.streaming import StreamingContext

    from spark_job.runner.dstreams.batch_planner import BatchPlanner
    from spark_job.runner.dstreams.delivery import ResultDelivery
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobSettings
    from spark_job.runner.progress import NewestBatch
    from spark_job.source.bridges import Bridges

LONGEST_GRACEFUL_STOP = timedelta(seconds=10)
"""Spark's graceful stop waits for the next batch. With longer intervals, unfinished batches run again instead."""


class StreamWatch:
    """Watches the streams of one job until they end.

    Args:
        ssc: the context, ready to start.
        planner: has the error of a batch that could not be planned.
        delivery: has the stored positions, and the error of a batch that could not be delivered.
        folder: the job's folder.
        bridges: asked once a second how many events wait.
        settings: of the job.
        interval: between two batches.
        background: called once a second; starts what the batches put off, without waiting, and raises its errors.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        ssc: StreamingContext,
        planner: BatchPlanner,
        delivery: ResultDelivery,
        folder: JobFolder,
        bridges: Bridges,
        settings: JobSettings,
        interval: timedelta,
        background: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ssc = ssc
        self._planner = planner
        self._delivery = delivery
        self._folder = folder
        self._bridges = bridges
        self._stop_gracefully = interval <= LONGEST_GRACEFUL_STOP
        self._stall_after_s = settings.stall_after.total_seconds()
        self._drain_to_file = settings.drain_to_file
        self._background = background
        self._clock = clock
        self._waiting: int | None = None
        self._moved_s = clock()
        self._seen: NewestBatch | None = None

    def until_the_end(self, stop: Event) -> None:
        """Start the streams; return once they have stopped, because a stop was requested or everything is drained.

        Raises:
            QueryFailed: they ended without a request; an error of this package comes through as it is.
            QueryStalled: events wait and no batch finishes.
        """
        try:
            self._ssc.start()
            next_report_s = self._clock()
            while not stop.wait(LOOK_EVERY_S) and not is_drained(self._drain_to_file, self._delivery.positions):
                self._check_alive()
                if self._clock() >= next_report_s:
                    next_report_s = self._clock() + REPORT_EVERY_S
                    self._background()
                    self._check_progress()
            self.report("stopping")
            self._ssc.stop(stopSparkContext=False, stopGraceFully=self._stop_gracefully)
            self._waiting = count_waiting(self._bridges, self._delivery.positions)
        except (*JAVA_IS_GONE, SparkJobError) as error:
            if stop.is_set():
                # A signal to the process group ends Java and its workers too. Everything stored is safe on disk.
                return
            if isinstance(error, SparkJobError):
                self._abandon()
                raise
            raise java_has_died(self._folder.root) from error

    def report(self, state: str, error: str = "") -> None:
        """Write ``progress.json``."""
        delivery = self._delivery
        write_progress(
            self._folder.progress,
            state,
            delivery.newest,
            positions=delivery.positions,
            tally=delivery.tally,
            waiting=self._waiting,
            error=error,
        )

    def _check_alive(self) -> None:
        failure = self._planner.failure or self._delivery.failure
        error = error_of(self._ssc)
        if failure is None and error is None:
            return
        raise cause_of(error or QueryFailed("the streams have ended"), failure) from error

    def _abandon(self) -> None:
        """Stop the streams after a failure; their checkpoint still has the unfinished batches."""
        try:
            self._ssc.stop(stopSparkContext=False, stopGraceFully=False)
        except Py4JError:
            # Java has died already, and the streams with it.
            return

    def _check_progress(self) -> None:
        if self._delivery.newest != self._seen:
            self._seen, self._moved_s = self._delivery.newest, self._clock()
        self._waiting = count_waiting(self._bridges, self._delivery.positions)
        if not self._waiting:
            # None: a bridge does not answer. That is the bridge's problem, not a stall of these streams.
            self._moved_s = self._clock()
        self.report("running" if drain_ends(self._drain_to_file) is None else "draining")
        still_s = self._clock() - self._moved_s
        if still_s > self._stall_after_s:
            raise QueryStalled(f"{self._waiting:,} events wait, and no batch has ended for {still_s:.0f} seconds")
