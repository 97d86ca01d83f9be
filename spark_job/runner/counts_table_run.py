"""Counts URLs into the results table, one transaction for each micro-batch, until a stop or a drained log ends it.

The table is the only state. Spark gets the lines of a micro-batch, adds them up by themselves, and keeps nothing; its
checkpoint only numbers the micro-batches of one run. So every start makes a new query with an empty checkpoint, which
begins at the offsets that the table has reached, and nothing that a kill or a power cut may leave behind can differ
from the table.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException

from headrace.common.durations import spark_interval
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.bridge_positions import commit_positions, first_offset, starting_offsets, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.query_watch import QueryWatch
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.spark_errors import cause_of
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.source import register
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.tally import Tally
    from spark_job.runner.counts_table_job import CountsTableJob
    from spark_job.runner.job_settings import JobSettings
    from spark_job.sinks.base import Sink
    from spark_job.source.options import FlumeOptions


def run_counts_table(job: CountsTableJob, settings: JobSettings, options: Any, stop: Event) -> Tally:
    """Count until a stop is requested or everything is drained; return the tally of everything ever counted.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        DataLoss: events are gone that the table does not have.
        SparkJobError: any other subclass says why the query died.
    """
    folder = JobFolder(settings.job_folder)
    with folder.claimed(job.fingerprint(settings, options), checkpoint=False), ExitStack() as opened:
        flume = job.flume_options(settings, options)
        bridges = opened.enter_context(closing(status_bridges(flume)))
        table = opened.enter_context(CountsTable(folder.counts, options.windows.per_line, options.retention))
        table.verify()
        spark = start_session(
            SessionSettings(
                f"headrace {job.name}", folder.root, settings.master, settings.driver_memory, compile_lightly=True
            )
        )
        opened.callback(stop_session, spark)
        register(spark)
        starts = starts_of(flume, settings, table)
        sinks = [opened.enter_context(closing(settings.open_sink(sink, table))) for sink in settings.sinks]
        commits = opened.enter_context(closing(status_bridges(flume)))
        writer = make_writer(job, settings, options, folder, table, sinks, starts, commits)
        try:
            query = start_query(job, lines_of(job, spark, settings, options, starts), settings, folder, writer)
        except PySparkException as error:
            raise cause_of(error) from error
        stall_after_s = settings.stall_after.total_seconds()
        with BackgroundCalls(*(sink.write_if_due for sink in sinks)) as background:
            watch = QueryWatch(query, writer, folder, bridges, stall_after_s, settings.drain_to_file, background.start)
            watch.until_the_end(stop)
        table.verify()
        tally = table.tally()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def starts_of(flume: FlumeOptions, settings: JobSettings, table: CountsTable) -> dict[str, int]:
    """Return, by log id, the offset where the new query starts, and tell the bridges what the table has.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: events are gone that the table does not have.
    """
    positions = table.positions()
    with closing(Bridges(flume)) as bridges:
        starts = starting_offsets(
            bridges, settings.consumer, positions, settings.start, allow_loss=settings.allow_data_loss
        )
        # A kill between the table's transaction and the commit left the bridges behind.
        commit_positions(bridges, settings.consumer, positions)
    return starts


def make_writer(
    job: CountsTableJob,
    settings: JobSettings,
    options: Any,
    folder: JobFolder,
    table: CountsTable,
    sinks: Sequence[Sink],
    starts: Mapping[str, int],
    bridges: Bridges,
) -> BatchWriter:
    """Return the batch function of a new query, after the files of the query before it are put away."""
    letters = DeadLetters(folder.audit, folder.dead_letters)
    ledger = Ledger(
        folder.checkpoint,
        folder.audit,
        options.windows,
        lambda log_id: starts[log_id] if log_id in starts else first_offset(bridges, settings.consumer, log_id),
        allow_loss=settings.allow_data_loss,
        closed_before_us=table.closed_before_us,
    )
    writer = BatchWriter(
        lambda lines: job.rows(lines, options),
        options.windows,
        ledger,
        table,
        lambda positions: commit_positions(bridges, settings.consumer, positions),
        sinks,
        folder.audit,
        letters,
        now=lambda: datetime.now(UTC),
    )
    writer.clear_audit()
    letters.drop_audit()
    return writer


def lines_of(
    job: CountsTableJob, spark: SparkSession, settings: JobSettings, options: Any, starts: Mapping[str, int]
) -> DataFrame:
    """Return the stream of lines, added up per pane, from ``starts`` on."""
    given = job.source_options(settings, options)
    given |= {"startingOffsets": json.dumps(dict(starts)), "commitOffsets": "false"}
    return spark.readStream.format(job.source).options(**given).load()


def start_query(
    job: CountsTableJob, lines: DataFrame, settings: JobSettings, folder: JobFolder, writer: BatchWriter
) -> StreamingQuery:
    """Start a new query; each micro-batch hands its lines to ``writer``.

    Raises:
        JobFolderError: the checkpoint of the query before it cannot be deleted.
    """
    folder.checkpoint.delete()
    return (
        lines.writeStream.queryName(job.name)
        .option("checkpointLocation", str(folder.checkpoint.folder))
        .trigger(processingTime=spark_interval(settings.trigger))
        .foreachBatch(writer)
        .start()
    )
