"""Runs a structured job live: each micro-batch goes into the tables, until a stop or a drained log ends the query.

The results of a micro-batch are stored first, together with its ledger entry, and Spark commits it last. A micro-batch
that runs again after a kill finds itself in the records of the table and changes nothing. A checkpoint that is of no
use ends in a new query, never in a refusal: :mod:`.checkpoint_fit` says how.
"""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql.pandas.types import to_arrow_schema

from headrace.common.durations import spark_interval
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.accounting.tally import Tally
from spark_job.errors import QueryFailed
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.bridge_positions import commit_positions, first_offset, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.new_query import options_from
from spark_job.runner.progress import write_progress
from spark_job.runner.query_watch import QueryWatch
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import numbered
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.spark_errors import cause_of, first_line
from spark_job.runner.structured.beginning import Beginning, begin
from spark_job.runner.structured.job import batch_of, stream_of
from spark_job.runner.structured.result_writer import ResultWriter
from spark_job.runner.structured.take_over import take_over_totals
from spark_job.source import register

if TYPE_CHECKING:
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.results.shape import ResultShape
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
    folder, user = JobFolder(settings.job_folder), sys.stderr
    fingerprint = job.fingerprint(settings, options)
    with folder.claimed(fingerprint, removed=job.options.removed), ExitStack() as opened:
        flume = job.flume_options(job.source_options(settings, options))
        bridges = opened.enter_context(closing(status_bridges(flume)))
        commits = opened.enter_context(closing(status_bridges(flume)))
        spark = start_session(session_of(job, settings, folder))
        opened.callback(stop_session, spark)
        register(spark)
        options = prepared(job, settings, options, folder, spark, stop)
        if stop.is_set() and not folder.counts.exists():
            return Tally()
        results, shape = results_of(job, settings, options, folder, spark, commits)
        opened.enter_context(results)
        broken = ""
        while True:
            beginning = begin(flume, settings, folder.checkpoint, results, shape, broken)
            if beginning.note:
                user.write(f"note: {beginning.note}\n")
            writer = make_writer(job, settings, options, folder, commits, results, shape, beginning)
            query = start_query(job, settings, options, folder, spark, beginning, writer)
            try:
                with BackgroundCalls(results.write_if_due, writer.refresh) as background:
                    watch = QueryWatch(
                        query,
                        writer,
                        folder,
                        bridges,
                        settings.stall_after.total_seconds(),
                        settings.drain_to_file,
                        background.start,
                    )
                    watch.until_the_end(stop)
                break
            except QueryFailed as error:
                broken = broken_state(error, writer.failure) if beginning.goes_on and writer.newest is None else ""
                if not broken:
                    raise
        # The last batch is committed only now that the query has stopped.
        writer.settle()
        tally = writer.final_tally()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def broken_state(error: QueryFailed, failure: Exception | None) -> str:
    """Return what is wrong with the state that Spark could not load; empty if the query died of something else."""
    # Files that are there were compared with their checksums before. What is left is a file that is missing.
    found = MISSING_STATE.search(f"{failure}\n{error.__cause__}")
    return f"it is damaged: {first_line(found[0])}" if found else ""


def session_of(job: StructuredJob, settings: JobSettings, folder: JobFolder) -> SessionSettings:
    """Return the settings of a job's Spark session."""
    more = dict(job.spark) | ({} if job.output_mode == "update" else APPEND_SETTINGS)
    return SessionSettings(
        f"headrace {job.name}",
        folder.root,
        settings.master,
        settings.driver_memory,
        compile_lightly=True,
        more=more,
    )


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


def open_results(
    job: StructuredJob,
    settings: JobSettings,
    folder: JobFolder,
    result: DataFrame,
    shape: ResultShape,
    windows_per_line: int,
) -> RowResults:
    """Open the tables and files of a job.

    Raises:
        OptionError: a table in a database does not fit.
    """
    schema = to_arrow_schema(result.schema, timezone="UTC")
    return RowResults(
        folder.root,
        job.name,
        numbered(schema.empty_table(), 0).schema if shape.numbered else schema,
        shape.key,
        settings.sinks,
        databases=settings.databases(),
        adopt=settings.adopt_table,
        top=settings.top,
        counted=job.counted,
        sums=job.sums,
        windows_per_line=windows_per_line,
    )


def results_of(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    bridges: Bridges,
) -> tuple[RowResults, ResultShape]:
    """Open the tables and files of a live job, complete and with what a version before kept elsewhere.

    Raises:
        JobFolderError: the table lacks micro-batches that a version before stored.
        OptionError: a table in a database does not fit, or belongs to another job.
        SparkJobError: Spark refuses the job's function.
    """
    lateness = job.lateness(options)
    try:
        # Nothing runs here: only the columns of the result are asked for.
        result = job.rows(stream_of(spark, job.source, job.source_options(settings, options)), options)
        shape = job.shape_of(result, options)
    except PySparkException as error:
        raise cause_of(error) from error
    with ExitStack() as opened:
        results = opened.enter_context(open_results(job, settings, folder, result, shape, lateness.per_line))
        before = Ledger(
            folder.checkpoint,
            folder.audit,
            lateness,
            lambda log_id: first_offset(bridges, settings.consumer, log_id),
            allow_loss=settings.allow_data_loss,
        )
        take_over_totals(folder, results.table, before, sums=bool(job.sums))
        results.catch_up(replace=shape.output_mode == "complete")
        opened.pop_all()
    return results, shape


def make_writer(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    bridges: Bridges,
    results: RowResults,
    shape: ResultShape,
    beginning: Beginning,
) -> ResultWriter:
    """Return the batch function of a job; for a new query, after the audit of the one before is put away."""
    starts = beginning.starts
    ledger = Ledger(
        folder.checkpoint,
        folder.audit,
        job.lateness(options),
        lambda log_id: starts[log_id] if log_id in starts else first_offset(bridges, settings.consumer, log_id),
        allow_loss=settings.allow_data_loss,
    )
    letters = DeadLetters(folder.audit, folder.dead_letters)
    if not beginning.goes_on:
        dropped = letters.clear_audit(results.table.positions())
        if dropped:
            results.table.add_dropped_dead_letters(dropped)
        letters.drop_audit()
    return ResultWriter(
        folder.checkpoint,
        ledger,
        results,
        letters,
        lambda positions: commit_positions(bridges, settings.consumer, positions),
        lambda: datetime.now(UTC),
        shape,
        final=shape.output_mode == "append" and bool(job.counted),
    )


def start_query(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    beginning: Beginning,
    writer: ResultWriter,
) -> StreamingQuery:
    """Start the stream; each micro-batch hands ``writer`` the results that changed, or those that are final.

    Raises:
        SparkJobError: Spark refuses the query.
    """
    given = options_from(job.source_options(settings, options), beginning.starts)
    try:
        return (
            job.rows(stream_of(spark, job.source, given), options)
            .writeStream.queryName(job.name)
            .outputMode(writer.shape.output_mode)
            .option("checkpointLocation", str(folder.checkpoint.folder))
            .trigger(processingTime=spark_interval(settings.trigger))
            .foreachBatch(writer)
            .start()
        )
    except PySparkException as error:
        raise cause_of(error) from error
