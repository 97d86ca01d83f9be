"""Runs a DStream job in its folder: recovers its streams or sets up new ones, and watches them until they end.

::

    no checkpoint, or an outdated one    new streams; the first batch starts where the newest batch in the sum ended
    a checkpoint                         Spark recovers: unfinished batches run again, then one batch for each batch
                                         time that has passed meanwhile, most of them without events

A checkpoint is outdated once no window of the job reaches back to its newest batch. Recovering it would run an empty
batch for every second of a night. A state never becomes outdated, so the checkpoint of a ``state`` job is always used.
"""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from headrace.common.durations import MILLISECOND
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.bridge_positions import status_bridges
from spark_job.runner.dstreams.batch_planner import BatchPlanner
from spark_job.runner.dstreams.context import CONTEXT_SETTINGS, DEPRECATION, is_recoverable, open_streams
from spark_job.runner.dstreams.delivery import ResultDelivery
from spark_job.runner.dstreams.direct_stream import deliver_results, direct_stream, every_batch, serving
from spark_job.runner.dstreams.planned_batches import PlannedBatches
from spark_job.runner.dstreams.results import BatchResults
from spark_job.runner.dstreams.stream_watch import StreamWatch
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.session import SessionSettings, start_session, stop_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event
    from typing import TextIO

    from pyspark.streaming import StreamingContext

    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.intervals import Intervals
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.runner.dstreams.options import BatchOptions
    from spark_job.runner.job_settings import JobSettings

RDD_CHECKPOINT = timedelta(seconds=10)
"""Spark writes windows and states to disk this often, or with every slide if the slide is longer."""
FEW_BATCHES = 60


def run_streams(job: DStreamJob, settings: JobSettings, options: BatchOptions, stop: Event) -> Tally:
    """Run a job until a stop is requested or everything is drained; return the tally of its lines.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the job died.
    """
    folder = JobFolder(settings.job_folder)
    with _warnings_on(sys.stderr), folder.claimed(job.fingerprint(settings, options), removed=job.options.removed):
        return _run(job, settings, options, folder, stop)


def _run(job: DStreamJob, settings: JobSettings, options: BatchOptions, folder: JobFolder, stop: Event) -> Tally:
    flume, intervals = job.flume_options(settings, options), options.intervals
    checkpoint = folder.checkpoint.folder
    with ExitStack() as opened:
        bridges = opened.enter_context(closing(status_bridges(flume)))
        batches = opened.enter_context(closing(PlannedBatches(folder.root / "batches.db")))
        limit = options.most_events(settings.max_events)
        decoder = job.decoder(settings, options)
        planner = opened.enter_context(closing(BatchPlanner(flume, batches, decoder, folder.audit, limit)))
        planner.begin()
        results = opened.enter_context(
            closing(
                BatchResults(
                    job,
                    intervals,
                    folder.counts,
                    batches.query_id,
                    databases=settings.databases(),
                    adopt=settings.adopt_table,
                    sinks=settings.sinks,
                    top=settings.top,
                    keep=getattr(options, "keep", None),
                )
            )
        )
        letters = DeadLetters(folder.audit, folder.dead_letters)
        horizon_ms = horizon(intervals) // MILLISECOND
        delivery = ResultDelivery(
            planner,
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
        opened.enter_context(serving(planner, delivery))
        ssc = open_streams(
            spark.sparkContext, checkpoint, intervals.batch, lambda ssc: build(job, options, batches, ssc, folder)
        )
        with BackgroundCalls(results.write_if_due) as background:
            watch = StreamWatch(ssc, planner, delivery, folder, bridges, settings, intervals.batch, background.start)
            watch.until_the_end(stop)
        tally = delivery.tally
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def build(
    job: DStreamJob, options: BatchOptions, batches: PlannedBatches, ssc: StreamingContext, folder: JobFolder
) -> None:
    """Set up the streams of a job that has none to recover."""
    batches.begin_streams()
    source = every_batch(ssc, folder.root / "no-files")
    deliver_results(source, job.rows(direct_stream(source), options))


def horizon(intervals: Intervals) -> timedelta:
    """Return how far behind the newest batch in the sum a recovery may ask for batches.

    The newest window or state on disk is at most two of Spark's checkpoint intervals old. Batches that have left the
    window since then are subtracted from it, and these are as old as the window is long. The rest is a margin.
    """
    return intervals.reach + 3 * max(RDD_CHECKPOINT, intervals.slide) + 10 * intervals.batch


def prepare_checkpoint(
    job: DStreamJob, intervals: Intervals, batches: PlannedBatches, folder: JobFolder, now: datetime
) -> None:
    """Delete an outdated checkpoint, and the plans that no checkpoint refers to."""
    checkpoint = folder.checkpoint.folder
    newest_ms = batches.newest_ms()
    if newest_ms is not None and job.kind != "state" and is_recoverable(checkpoint):
        outdated_from_ms = newest_ms + max(intervals.reach, FEW_BATCHES * intervals.batch) // MILLISECOND
        # New streams plan the events of a batch outside the sum again, under another time. A window's rows are then
        # those of the new time. For the other kinds the same rows would be stored twice.
        repeatable = job.kind == "window" or not batches.unaccounted(newest_ms)
        if now.timestamp() * 1000 > outdated_from_ms and repeatable:
            shutil.rmtree(checkpoint)
    if not is_recoverable(checkpoint):
        batches.drop_unaccounted()


@contextmanager
def _warnings_on(stream: TextIO) -> Iterator[None]:
    """Print the warnings of this package, one line each, and a note that the API is deprecated."""
    ours = logging.getLogger("spark_job")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    ours.addHandler(handler)
    stream.write(f"note: {DEPRECATION}\n")
    try:
        yield
    finally:
        ours.removeHandler(handler)
