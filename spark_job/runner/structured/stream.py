"""Runs a structured job live: each micro-batch goes into the results, until a stop or a drained log ends the query.

::

    rows are sums       the query hands over the lines of each micro-batch, the job's function adds them up, the table
                        adds the sums; Spark keeps no state
    any other rows      the query runs the job's function over the stream, and hands over the rows that changed

The results of a micro-batch are stored in one transaction with its ledger entry, and Spark commits it last. A
micro-batch that runs again after a kill finds itself in the records of the table and changes nothing. A checkpoint that
is of no use ends in a new query, never in a refusal: :mod:`.beginning` says where it begins.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException

from headrace.common.durations import spark_interval
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.tally import Tally
from spark_job.errors import QueryFailed
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.bridge_positions import commit_positions
from spark_job.runner.folder_format import record_versions
from spark_job.runner.job_run import job_run
from spark_job.runner.progress import write_progress
from spark_job.runner.release import ReleaseAfterCommit, ReleaseAtOnce
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.spark_errors import cause_of, first_line
from spark_job.runner.structured.beginning import begin, options_from
from spark_job.runner.structured.job import batch_of, stream_of
from spark_job.runner.structured.opening import make_ledger, open_results
from spark_job.runner.structured.running_query import RunningQuery
from spark_job.runner.watch import Watch
from spark_job.source import register

if TYPE_CHECKING:
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.release import Release
    from spark_job.runner.results.url_counts import UrlCountResults
    from spark_job.runner.structured.beginning import Beginning
    from spark_job.runner.structured.job import StructuredJob
    from spark_job.source.bridges import Bridges

APPEND_SETTINGS = {"spark.sql.streaming.noDataMicroBatches.enabled": "true"}
"""Append mode emits rows one micro-batch after the watermark passed them, so that one must run without lines too."""

MISSING_STATE = re.compile(r"\[(?:CANNOT_LOAD_STATE_STORE|STDS_FAILED_TO_READ)\S*\] [^\n]*")


def run_live(job: StructuredJob, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
    """Run a job until a stop is requested or everything is drained; return the tally of its lines.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        DataLoss: lines are gone that no result holds.
        SparkJobError: any other subclass says why the job died.
    """
    fingerprint = job.fingerprint(settings, options)
    with job_run(job.name, settings, fingerprint, job.options, stop, checkpoint=False) as run:
        folder, flume = run.folder, job.flume_options(job.source_options(settings, options))
        bridges, commits = run.bridges(flume), run.bridges(flume)
        spark = run.start_spark(spark_settings(job))
        register(spark)
        options = prepared(job, settings, options, folder, spark, stop)
        if stop.is_set() and not folder.counts.exists():
            write_progress(folder.progress, "stopped")
            return Tally()
        results = open_results(job, settings, options, folder, spark, commits)
        run.opened.enter_context(results)
        results.table.verify()
        broken = folder.checkpoint_problem
        while True:
            beginning = begin(flume, settings, folder.checkpoint, results, broken)
            if folder.checkpoint_problem:
                record_versions(folder.root)
            if beginning.note:
                run.user.write(f"note: {beginning.note}\n")
            writer = make_writer(job, settings, options, folder, commits, results, beginning)
            query = start_query(job, settings, options, folder, spark, beginning, writer)
            running = RunningQuery(query, writer, folder.checkpoint)
            watch = Watch(running, folder, settings, writer, bridges, (*results.later, writer.refresh))
            try:
                watch.until_the_end(stop)
                break
            except QueryFailed as error:
                broken = broken_state(error, writer.failure) if beginning.goes_on and writer.newest is None else ""
                if not broken:
                    raise
        # The last batch is committed only now that the query has stopped.
        tally = writer.finish()
        results.table.verify()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def broken_state(error: QueryFailed, failure: Exception | None) -> str:
    """Return what is wrong with the state that Spark could not load; empty if the query died of something else."""
    # Files that are there were compared with their checksums before. What is left is a file that is missing.
    found = MISSING_STATE.search(f"{failure}\n{error.__cause__}")
    return f"it is damaged: {first_line(found[0])}" if found else ""


def spark_settings(job: StructuredJob) -> dict[str, str]:
    """Return the settings of Spark that a job needs."""
    return dict(job.spark) | ({} if job.output_mode == "update" else APPEND_SETTINGS)


def prepared(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    stop: Event,
) -> JobOptions:
    """Return the options that the job's function gets; a job may compute some of them from the lines."""
    if job.prepared is None:
        return options
    # Without the audit: these lines are read a second time as a stream, and may be counted only there.
    given = {
        name: value
        for name, value in job.source_options(settings, options).items()
        if name not in ("audit", "auditPane", "startingOffsets")
    }
    write_progress(folder.progress, "running")
    made: JobOptions = job.prepared(lambda: batch_of(spark, job.source, given), options, folder.root, stop)
    return made


def make_writer(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    bridges: Bridges,
    results: UrlCountResults | RowResults,
    beginning: Beginning,
) -> BatchWriter:
    """Return the batch function of a query; for a new query, after the audit of the one before is put away."""
    letters = DeadLetters(folder.audit, folder.dead_letters)
    if not beginning.goes_on:
        dropped = letters.clear_audit(results.table.positions())
        if dropped:
            results.table.add_dropped_dead_letters(dropped)
        letters.drop_audit()

    def commit(positions: dict[str, int]) -> None:
        commit_positions(bridges, settings.consumer, positions)

    def rows(handed_over: DataFrame) -> DataFrame:
        return job.rows(handed_over, options) if job.sums else handed_over

    if isinstance(results, RowResults) and not job.sums:
        release: Release = ReleaseAfterCommit(folder.checkpoint, results.table, letters, commit)
    else:
        release = ReleaseAtOnce(results.table, letters, commit)
    ledger = make_ledger(job, settings, options, folder, bridges, beginning.starts, results)
    return BatchWriter(rows, ledger, results, release, lambda: datetime.now(UTC))


def start_query(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    beginning: Beginning,
    writer: BatchWriter,
) -> StreamingQuery:
    """Start the stream.

    Raises:
        SparkJobError: Spark refuses the query.
    """
    given = options_from(job.source_options(settings, options), beginning.starts)
    try:
        lines = stream_of(spark, job.source, given)
        handed_over = lines if job.sums else job.rows(lines, options)
        return (
            handed_over.writeStream.queryName(job.name)
            .outputMode("append" if job.sums else job.shape_of(handed_over, options).output_mode)
            .option("checkpointLocation", str(folder.checkpoint.folder))
            .trigger(processingTime=spark_interval(settings.trigger))
            .foreachBatch(writer)
            .start()
        )
    except PySparkException as error:
        raise cause_of(error) from error
