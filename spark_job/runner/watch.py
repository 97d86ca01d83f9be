r"""Watches what Spark runs: stops it between two batches, detects that it died or stalled, reports progress.

::

                    stop requested                 the running batch is stored
    running ------------------------> stopping ----------------------------------> stopped
       |  \--- all up to the drain file stored ---/
       |--- it ended with an error -------------------------------------------> that error, or QueryFailed
       `--- events wait, and no batch has ended for stall_after --------------> QueryStalled
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from spark_job.errors import AccountingError, QueryStalled, SinkError, SparkJobError
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.bridge_positions import count_waiting
from spark_job.runner.drain_file import drain_ends, is_drained
from spark_job.runner.progress import write_progress
from spark_job.runner.spark_errors import JAVA_IS_GONE, java_has_died

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from pyspark.sql.streaming.listener import StreamingQueryProgress

    from spark_job.accounting.tally import Tally
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobSettings
    from spark_job.runner.progress import NewestBatch
    from spark_job.source.bridges import Bridges

LOOK_EVERY_S = 0.25
REPORT_EVERY_S = 1.0


class Running(Protocol):
    """Queries or streams that run."""

    def start(self) -> None:
        """Start them, if they do not run yet."""

    def check(self) -> None:
        """Do nothing while they run.

        Raises:
            SparkJobError: why they ended, or that they will never go on.
        """

    def stop(self) -> str:
        """Stop them, between two batches if that does not take too long; return what went wrong, or an empty text."""

    def progress(self) -> StreamingQueryProgress | None:
        """Return Spark's own report of the newest micro-batch, if it makes one."""


class Stored(Protocol):
    """What is stored by now, as the watch reads it from another thread.

    Attributes:
        newest: the newest batch that this process stored.
        positions: log id to the offset up to which everything is stored.
        tally: the terms of the sum over all batches ever stored.
    """

    newest: NewestBatch | None
    positions: dict[str, int]
    tally: Tally


class Watch:
    """Watches one run until it ends.

    Args:
        running: the queries or streams.
        folder: the job's folder.
        settings: of the job: how long events may wait without a batch, and which file ends the run.
        stored: what is stored; None if nobody counts offsets. Then ``running`` detects stalls itself.
        bridges: asked once a second how many events wait.
        later: called once a second, each on a thread of its own: what the batches put off.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        running: Running,
        folder: JobFolder,
        settings: JobSettings,
        stored: Stored | None = None,
        bridges: Bridges | None = None,
        later: Sequence[Callable[[], None]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running = running
        self._folder = folder
        self._stall_after_s = settings.stall_after.total_seconds()
        self._drain_to_file = settings.drain_to_file
        self._stored = stored
        self._bridges = bridges
        self._later = later
        self._clock = clock
        self._waiting: int | None = None
        self._problem = ""
        self._moved_s = clock()
        self._seen: NewestBatch | None = None

    def until_the_end(self, stop: Event) -> None:
        """Return once the run has stopped, because a stop was requested or everything is drained.

        Raises:
            QueryFailed: it ended without a request; an error of this package comes through as it is.
            QueryStalled: events wait and no batch ends.
        """
        try:
            self._running.start()
            with BackgroundCalls(*self._later) as background:
                next_report_s = self._clock()
                while not stop.wait(LOOK_EVERY_S) and not self._is_drained():
                    self._running.check()
                    if self._clock() >= next_report_s:
                        next_report_s = self._clock() + REPORT_EVERY_S
                        background.start()
                        self._check_progress()
                self.report("stopping")
                self._problem = self._running.stop()
            self._count_waiting()
            self.report("stopping")
        except (SinkError, AccountingError):
            raise
        except (*JAVA_IS_GONE, SparkJobError) as error:
            if stop.is_set():
                # A signal to the process group ends Java and its workers too. Everything stored is safe on disk.
                return
            if isinstance(error, SparkJobError):
                raise
            raise java_has_died(self._folder.root) from error

    def report(self, state: str) -> None:
        """Write ``progress.json``."""
        stored = self._stored
        write_progress(
            self._folder.progress,
            state,
            stored.newest if stored else None,
            positions=stored.positions if stored else None,
            tally=stored.tally if stored else None,
            waiting=self._waiting,
            spark=self._spark_progress(),
            error=self._problem,
        )

    def _spark_progress(self) -> StreamingQueryProgress | None:
        try:
            return self._running.progress()
        except JAVA_IS_GONE:
            return None

    def _is_drained(self) -> bool:
        return self._stored is not None and is_drained(self._drain_to_file, self._stored.positions)

    def _count_waiting(self) -> None:
        if self._stored is not None and self._bridges is not None:
            self._waiting = count_waiting(self._bridges, self._stored.positions)

    def _check_progress(self) -> None:
        newest = self._stored.newest if self._stored else None
        if newest != self._seen:
            self._seen, self._moved_s = newest, self._clock()
        self._count_waiting()
        if not self._waiting:
            # None: a bridge does not answer. That is the bridge's problem, not a stall of this job.
            self._moved_s = self._clock()
        self.report("running" if drain_ends(self._drain_to_file) is None else "draining")
        still_s = self._clock() - self._moved_s
        if still_s > self._stall_after_s:
            raise QueryStalled(f"{self._waiting:,} events wait, and no batch has ended for {still_s:.0f} seconds")
