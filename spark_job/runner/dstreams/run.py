"""Runs a DStream job in its folder: recovers its streams or sets up new ones, and watches them until they end.

::

    no checkpoint, or an outdated one    new streams; the first batch starts where the newest stored batch ended
    a checkpoint                         Spark recovers: unfinished batches run again, then one batch for each batch
                                         time that has passed meanwhile, most of them without events

A checkpoint is outdated once no window of the job reaches back to its newest batch. Recovering it would run an empty
batch for every second of a night. A state never becomes outdated, so the checkpoint of a ``state`` job is always used.

New streams plan the events of a batch that was not stored again, under another time. Rows and account of a batch are
stored in one transaction, so such a batch has left no row, whatever the kind of the job.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headrace.common.durations import MILLISECOND
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.errors import JobFolderError
from spark_job.runner.dstreams.batch_planner import BatchPlanner
from spark_job.runner.dstreams.batch_plans import BatchPlans
from spark_job.runner.dstreams.context import CONTEXT_SETTINGS, DEPRECATION, is_recoverable, open_streams
from spark_job.runner.dstreams.delivery import ResultDelivery
from spark_job.runner.dstreams.direct_stream import deliver_results, direct_stream, every_batch, serving
from spark_job.runner.dstreams.running_streams import RunningStreams
from spark_job.runner.dstreams.take_over import take_over_sum
from spark_job.runner.job_run import job_run
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import ResultShape
from spark_job.runner.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event
    from typing import TextIO

    from pyspark.streaming import StreamingContext

    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.intervals import Intervals
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.runner.dstreams.options import BatchOptions
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobSettings

FEW_BATCHES = 60


def run_streams(job: DStreamJob, settings: JobSettings, options: BatchOptions, stop: Event) -> Tally:
    """Run a job until a stop is requested or everything is drained; return the tally of its lines.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the job died.
    """
    flume, intervals = job.flume_options(settings, options), options.intervals
    fingerprint = job.fingerprint(settings, options)
    with _warnings_on(sys.stderr), job_run(job.name, settings, fingerprint, job.options, stop) as run:
        folder, bridges = run.folder, run.bridges(flume)
        plans = run.opened.enter_context(closing(BatchPlans(folder.root / "batches.db")))
        results = run.opened.enter_context(open_results(job, settings, options, folder, plans))
        limit, stored_ms = options.most_events(settings.max_events), results.table.newest_batch_id()
        decoder = job.decoder(settings, options)
        planner = BatchPlanner(flume, plans, decoder, folder.audit, limit, stored_ms)
        run.opened.enter_context(closing(planner))
        planner.begin()
        prepare_checkpoint(job, intervals, plans, results, folder, datetime.now(UTC))
        delivery = ResultDelivery(
            job, intervals, planner, plans, results, folder, stop, allow_loss=settings.allow_data_loss
        )
        spark = run.start_spark(CONTEXT_SETTINGS)
        run.opened.enter_context(serving(planner, delivery))
        ssc = open_streams(
            spark.sparkContext,
            folder.checkpoint.folder,
            intervals.batch,
            lambda ssc: build(job, options, plans, ssc, folder),
        )
        streams = RunningStreams(ssc, (planner, delivery), intervals.batch)
        run.opened.callback(streams.abandon)
        watch = Watch(streams, folder, settings, delivery, bridges, results.later)
        watch.until_the_end(stop)
        folder.write_tally(delivery.tally.as_json())
        watch.report("stopped")
    return delivery.tally


def build(job: DStreamJob, options: BatchOptions, plans: BatchPlans, ssc: StreamingContext, folder: JobFolder) -> None:
    """Set up the streams of a job that has none to recover."""
    plans.begin_streams()
    source = every_batch(ssc, folder.root / "no-files")
    deliver_results(source, job.rows(direct_stream(source), options))


def open_results(
    job: DStreamJob, settings: JobSettings, options: BatchOptions, folder: JobFolder, plans: BatchPlans
) -> RowResults:
    """Open the tables and files of a job, complete and with what a version before kept elsewhere.

    Raises:
        AccountingError: the audit of a batch that a version before stored is damaged.
        JobFolderError: the results table does not belong to the plans.
        OptionError: a table in a database does not fit, or belongs to another job.
        SinkError: a table cannot be opened.
    """
    with ExitStack() as opened:
        results = opened.enter_context(
            RowResults(
                folder.root,
                job.name,
                job.schema,
                ResultShape(job.stored_key, "update", ordered=True),
                settings.sinks,
                databases=settings.databases(),
                adopt=settings.adopt_table,
                top=settings.top,
                counted="",
                timed=job.timed(getattr(options, "keep", None)),
            )
        )
        take_over_sum(plans, results.table, folder.audit, allow_loss=settings.allow_data_loss)
        plans.check_table(results.table.table_id())
        results.catch_up()
        opened.pop_all()
    return results


def prepare_checkpoint(
    job: DStreamJob, intervals: Intervals, plans: BatchPlans, results: RowResults, folder: JobFolder, now: datetime
) -> None:
    """Delete an outdated checkpoint, and what no checkpoint refers to: plans and audit of batches that are not stored.

    Raises:
        JobFolderError: the results are of a state that is lost.
        SinkError: a file cannot be written.
    """
    checkpoint, stored_ms, newest_ms = folder.checkpoint.folder, results.table.newest_batch_id(), plans.newest_ms()
    letters = DeadLetters(folder.audit, folder.dead_letters)
    results.table.add_dropped_dead_letters(letters.clear_audit(plans.positions(stored_ms)))
    if newest_ms is not None and job.kind != "state":
        outdated_from_ms = newest_ms + max(intervals.reach, FEW_BATCHES * intervals.batch) // MILLISECOND
        if now.timestamp() * 1000 > outdated_from_ms:
            folder.checkpoint.delete()
    if not is_recoverable(checkpoint):
        if job.kind == "state" and stored_ms >= 0:
            raise JobFolderError(
                f"{checkpoint}: Spark's checkpoint is missing, and with it the state that the stored results are of: a "
                "new state would replace them by smaller values. Put the checkpoint back, or take a new job folder and "
                "consumer name to count again what the bridges keep"
            )
        plans.drop_after(stored_ms)
        letters.drop_audit()


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
