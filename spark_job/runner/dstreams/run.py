r"""Runs a DStream job in its folder: starts it or goes on, watches it, and ends it between two batches.

::

    no checkpoint, or one that is    new streams; the first batch starts where the newest booked one ended
    out of reach
    a checkpoint                     Spark recovers: batches that were not done run again, and one for each batch time
                                     that passed meanwhile, most of them without events

                    stop asked for                 batches under way are done
    running ------------------------> stopping ---------------------------------> stopped
       |  \--- all up to the drain file booked ---/
       |--- a batch failed ----------------------------------------------------> failed: what the error was
       `--- events wait, and no batch was settled for stall_after -------------> QueryStalled

A checkpoint is out of reach when no window of the job reaches back to its newest batch any more. Recovering it would
run an empty batch for each second of a night. A state has no such end, so its checkpoint is always recovered.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError

from headrace.common.durations import MILLISECOND
from headrace.common.files import replacing
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.errors import QueryFailed, QueryStalled, SparkJobError, sink_errors
from spark_job.runner.dstreams.batch_planner import Feed
from spark_job.runner.dstreams.context import CONTEXT_SETTINGS, DEPRECATION, error_of, is_recoverable, open_streams
from spark_job.runner.dstreams.delivery import ResultDelivery
from spark_job.runner.dstreams.direct_stream import deliver_results, direct_stream, every_batch, serving
from spark_job.runner.dstreams.job import flume_options
from spark_job.runner.dstreams.planned_batches import Batches
from spark_job.runner.dstreams.progress import write_progress
from spark_job.runner.dstreams.results import Results
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.query_watch import JAVA_IS_GONE, LOOK_EVERY_S, REPORT_EVERY_S, cause_of, read_drain_file
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event
    from typing import TextIO

    from pyspark.streaming import StreamingContext

    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.intervals import Intervals
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.runner.dstreams.options import BatchOptions
    from spark_job.runner.job_settings import JobSettings

STATUS_PATIENCE_S = 1.0
RDD_CHECKPOINT = timedelta(seconds=10)
"""Spark writes windows and states to disk so often, or every slide when that is longer."""
FEW_BATCHES = 60
LONGEST_PATIENCE = timedelta(seconds=10)
"""Spark's own graceful stop waits for the next batch. With longer intervals what is under way runs again instead."""


def run_job(job: DStreamJob, settings: JobSettings, options: BatchOptions, stop: Event) -> Tally:
    """Run a job; see :meth:`spark_job.runner.dstreams.job.DStreamJob.run`."""
    folder = JobFolder(settings.job_folder)
    with _said_on(sys.stderr), folder.claimed(job.fingerprint(settings, options)):
        return _run(job, settings, options, folder, stop)


def _run(job: DStreamJob, settings: JobSettings, options: BatchOptions, folder: JobFolder, stop: Event) -> Tally:
    flume, intervals = flume_options(settings, options), options.intervals
    checkpoint = folder.checkpoint.folder
    with ExitStack() as opened:
        bridges = opened.enter_context(closing(Bridges(flume, RetryPolicy(STATUS_PATIENCE_S))))
        batches = opened.enter_context(closing(Batches(folder.root / "batches.db")))
        limit = options.most_events(settings.max_events)
        feed = opened.enter_context(closing(Feed(flume, batches, job.decoder(settings, options), folder.audit, limit)))
        feed.begin()
        results = opened.enter_context(
            closing(
                Results(
                    job,
                    intervals,
                    folder.counts,
                    batches.query_id,
                    databases=settings.databases(),
                    sinks=settings.sinks,
                    top=settings.top,
                    keep=getattr(options, "keep", None),
                )
            )
        )
        letters = DeadLetters(folder.audit, folder.dead_letters)
        horizon_ms = horizon(intervals) // MILLISECOND
        delivery = ResultDelivery(
            feed,
            batches,
            results,
            folder.audit,
            letters,
            checkpoint,
            horizon_ms,
            stop,
            allow_loss=settings.allow_data_loss,
        )
        prepare_checkpoint(job, intervals, batches, folder, datetime.now(UTC))
        session = SessionSettings(
            f"headrace {job.name}",
            folder.root,
            settings.master,
            settings.driver_memory,
            compile_lightly=True,
            more=CONTEXT_SETTINGS,
        )
        spark = start_session(session)
        opened.callback(stop_session, spark)
        opened.enter_context(serving(feed, delivery))
        ssc = open_streams(
            spark.sparkContext, checkpoint, intervals.batch, lambda ssc: build(job, options, batches, ssc, folder)
        )
        keeper = StreamKeeper(ssc, feed, delivery, folder, bridges, settings, intervals.batch)
        keeper.keep(stop)
        tally = delivery.tally
        with sink_errors(folder.tally), replacing(folder.tally) as file:
            file.write(json.dumps(tally.as_json(), indent=2).encode())
        keeper.report("stopped")
    return tally


def build(job: DStreamJob, options: BatchOptions, batches: Batches, ssc: StreamingContext, folder: JobFolder) -> None:
    """Set the streams of a job up, where there are none to recover."""
    batches.begin_streams()
    source = every_batch(ssc, folder.root / "no-files")
    deliver_results(source, job.rows(direct_stream(source), options))


def horizon(intervals: Intervals) -> timedelta:
    """Return how far behind the newest booked batch a recovery may ask for batches.

    A window or state is on disk from at most two of Spark's own checkpoints before, and what leaves the window since
    then reaches back by its length.
    """
    return intervals.reach + 3 * max(RDD_CHECKPOINT, intervals.slide) + 10 * intervals.batch


def prepare_checkpoint(
    job: DStreamJob, intervals: Intervals, batches: Batches, folder: JobFolder, now: datetime
) -> None:
    """Remove a checkpoint that is out of reach, and plans that no checkpoint knows of."""
    checkpoint = folder.checkpoint.folder
    newest_ms = batches.newest_ms()
    if newest_ms is not None and job.kind != "state" and is_recoverable(checkpoint):
        out_of_reach_ms = newest_ms + max(intervals.reach, FEW_BATCHES * intervals.batch) // MILLISECOND
        # The rows of a batch must not be stored again under another time, as they are for a batch that was not booked.
        repeatable = job.kind == "window" or not batches.unbooked(newest_ms)
        if now.timestamp() * 1000 > out_of_reach_ms and repeatable:
            shutil.rmtree(checkpoint)
    if not is_recoverable(checkpoint):
        batches.void_unbooked()


class StreamKeeper:
    """Keeps the streams running until they are to end.

    Args:
        ssc: the context, ready to start.
        feed: knows what went wrong while a batch was planned.
        delivery: knows what has been stored, and what went wrong there.
        folder: the job's folder.
        bridges: asked, once a second, how much waits.
        settings: of the job.
        interval: between two batches.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        ssc: StreamingContext,
        feed: Feed,
        delivery: ResultDelivery,
        folder: JobFolder,
        bridges: Bridges,
        settings: JobSettings,
        interval: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ssc = ssc
        self._feed = feed
        self._delivery = delivery
        self._folder = folder
        self._bridges = bridges
        self._patient = interval <= LONGEST_PATIENCE
        self._stall_after_s = settings.stall_after.total_seconds()
        self._drain_to_file = settings.drain_to_file
        self._clock = clock
        self._waiting: int | None = None
        self._moved_s = clock()
        self._seen: int | None = None

    def keep(self, stop: Event) -> None:
        """Start the streams; return when they have been stopped, because that was asked for or everything is drained.

        Raises:
            QueryFailed: they ended by themselves; or the error of this package that ended them.
            QueryStalled: events wait and nothing is done about it.
        """
        try:
            self._ssc.start()
            next_report_s = self._clock()
            while not stop.wait(LOOK_EVERY_S) and not self._is_drained():
                self._check_alive()
                if self._clock() >= next_report_s:
                    next_report_s = self._clock() + REPORT_EVERY_S
                    self._look()
            self.report("stopping")
            self._ssc.stop(stopSparkContext=False, stopGraceFully=self._patient)
            self._waiting = self._count_waiting()
        except (*JAVA_IS_GONE, SparkJobError) as error:
            if stop.is_set():
                # A signal to the whole process group ends Java and its workers as well. What was stored is stored.
                return
            if isinstance(error, SparkJobError):
                self._abandon()
                raise
            raise QueryFailed(
                f"the Java side of Spark has died; {self._folder.root} has java.log and spark.log"
            ) from error

    def report(self, state: str, error: str = "") -> None:
        """Write ``progress.json``."""
        delivery = self._delivery
        write_progress(
            self._folder.progress,
            state,
            batch_ms=delivery.settled_ms,
            batch_at=delivery.settled_at,
            positions=delivery.positions,
            tally=delivery.tally,
            waiting=self._waiting,
            error=error,
        )

    def _check_alive(self) -> None:
        failure = self._feed.failure or self._delivery.failure
        error = error_of(self._ssc)
        if failure is None and error is None:
            return
        raise cause_of(error or QueryFailed("the streams have ended"), failure) from error

    def _abandon(self) -> None:
        """End the streams after a failure; their checkpoint still knows what was not done."""
        try:
            self._ssc.stop(stopSparkContext=False, stopGraceFully=False)
        except Py4JError:
            return

    def _look(self) -> None:
        if self._delivery.settled_ms != self._seen:
            self._seen, self._moved_s = self._delivery.settled_ms, self._clock()
        self._waiting = self._count_waiting()
        if not self._waiting:
            # An unanswered question is the bridge's trouble, not a stall of these streams.
            self._moved_s = self._clock()
        self.report("running" if self._drain_target() is None else "draining")
        still_s = self._clock() - self._moved_s
        if still_s > self._stall_after_s:
            raise QueryStalled(f"{self._waiting:,} events wait, and no batch has ended for {still_s:.0f} seconds")

    def _count_waiting(self) -> int | None:
        """Return how many events the bridges hold that are not booked yet; None when one does not answer."""
        try:
            view = self._bridges.poll(patient=False)
        except SparkJobError:
            return None
        if view.silent:
            return None
        positions = self._delivery.positions
        return sum(
            max(0, place.status.next_offset - max(positions.get(log_id, 0), place.status.first_offset))
            for log_id, place in view.logs.items()
        )

    def _drain_target(self) -> dict[str, int] | None:
        if self._drain_to_file is None or not self._drain_to_file.exists():
            return None
        return read_drain_file(self._drain_to_file)

    def _is_drained(self) -> bool:
        target = self._drain_target()
        if target is None:
            return False
        return all(self._delivery.positions.get(log_id, 0) >= end for log_id, end in target.items())


@contextmanager
def _said_on(stream: TextIO) -> Iterator[None]:
    """Show people the warnings of this package, one line each, and that the API is deprecated."""
    ours = logging.getLogger("spark_job")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    ours.addHandler(handler)
    stream.write(f"note: {DEPRECATION}\n")
    try:
        yield
    finally:
        ours.removeHandler(handler)
