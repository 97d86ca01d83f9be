"""Runs a structured job whose rows are sums by key: each micro-batch adds its own lines up, the table adds the results.

The table is the only state: every start makes a new query where the table stands (:mod:`spark_job.runner.new_query`).
Spark keeps no state, so there is no watermark, and a line counts however late it comes.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.bridge_positions import commit_positions, first_offset, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.new_query import options_from, start_new_query, starts_of
from spark_job.runner.query_watch import QueryWatch
from spark_job.runner.session import start_session, stop_session
from spark_job.runner.structured.job import stream_of
from spark_job.runner.structured.stream import results_of, session_of
from spark_job.source import register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    import pyarrow as pa

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.accounting.tally import Tally
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.results.row_results import RowResults
    from spark_job.runner.structured.job import StructuredJob
    from spark_job.source.bridges import Bridges


def run_sums(job: StructuredJob, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
    """Run a job until a stop is requested or everything is drained; return the tally of its lines.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        DataLoss: events are gone that the table does not have.
        SparkJobError: any other subclass says why the job died.
    """
    folder = JobFolder(settings.job_folder)
    fingerprint = job.fingerprint(settings, options)
    with folder.claimed(fingerprint, checkpoint=False, removed=job.options.removed), ExitStack() as opened:
        flume = job.flume_options(job.source_options(settings, options))
        bridges = opened.enter_context(closing(status_bridges(flume)))
        commits = opened.enter_context(closing(status_bridges(flume)))
        spark = start_session(session_of(job, settings, folder))
        opened.callback(stop_session, spark)
        register(spark)
        results, _ = results_of(job, settings, options, folder, spark, commits)
        opened.enter_context(results)
        results.table.verify()
        starts = starts_of(flume, settings, results.table)
        given = options_from(job.source_options(settings, options), starts)
        writer = make_writer(job, settings, options, folder, results, starts, commits)
        query = start_new_query(job.name, stream_of(spark, job.source, given), settings, folder, writer)
        stall_after_s = settings.stall_after.total_seconds()
        with BackgroundCalls(results.write_if_due) as background:
            watch = QueryWatch(query, writer, folder, bridges, stall_after_s, settings.drain_to_file, background.start)
            watch.until_the_end(stop)
        results.table.verify()
        tally = results.table.tally()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def make_writer(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    results: RowResults,
    starts: Mapping[str, int],
    bridges: Bridges,
) -> BatchWriter[pa.Table]:
    """Return the batch function of a new query, after the files of the query before it are put away."""
    letters = DeadLetters(folder.audit, folder.dead_letters)
    ledger = Ledger(
        folder.checkpoint,
        folder.audit,
        job.lateness(options),
        lambda log_id: starts[log_id] if log_id in starts else first_offset(bridges, settings.consumer, log_id),
        allow_loss=settings.allow_data_loss,
        closed_before_us=lambda: None,
    )

    def show(entry: LedgerEntry, changed: pa.Table, tally: Tally) -> None:
        results.copy(changed)
        if entry.read:
            results.show(changed, tally)

    writer = BatchWriter(
        lambda lines: job.rows(lines, options),
        ledger,
        results.table,
        lambda positions: commit_positions(bridges, settings.consumer, positions),
        show,
        letters,
        now=lambda: datetime.now(UTC),
    )
    writer.clear_audit()
    letters.drop_audit()
    return writer
