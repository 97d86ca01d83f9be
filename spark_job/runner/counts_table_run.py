"""Runs a job over the results table: one transaction per micro-batch, until a stop or a drained log ends the query.

The numbers stay right whatever is killed: the table takes a micro-batch once, the ledger accounts for each line, and
Spark's checkpoint says where the query continues.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException

from headrace.common.durations import spark_interval
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.bridge_positions import first_offset, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.query_watch import QueryWatch
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.spark_errors import cause_of
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.source import register

if TYPE_CHECKING:
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.tally import Tally
    from spark_job.runner.counts_table_job import CountsTableJob
    from spark_job.runner.job_settings import JobSettings


def run_counts_table(job: CountsTableJob, settings: JobSettings, options: Any, stop: Event) -> Tally:
    """Count until a stop is requested or everything is drained; return the tally of everything ever counted.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the query died.
    """
    folder = JobFolder(settings.job_folder)
    with folder.claimed(job.fingerprint(settings, options)), ExitStack() as opened:
        bridges = opened.enter_context(closing(status_bridges(job.flume_options(settings, options))))
        table = opened.enter_context(CountsTable(folder.counts, options.windows.per_line, options.retention))
        folder.check(table)
        table.verify()
        sinks = [opened.enter_context(closing(settings.open_sink(sink, table))) for sink in settings.sinks]
        writer = BatchWriter(
            folder.checkpoint,
            Ledger(
                folder.checkpoint,
                folder.audit,
                options.windows,
                lambda log_id: first_offset(bridges, settings.consumer, log_id),
                allow_loss=settings.allow_data_loss,
            ),
            table,
            sinks,
            DeadLetters(folder.audit, folder.dead_letters),
            now=lambda: datetime.now(UTC),
        )
        spark = start_session(
            SessionSettings(
                f"headrace {job.name}", folder.root, settings.master, settings.driver_memory, compile_lightly=True
            )
        )
        opened.callback(stop_session, spark)
        register(spark)
        try:
            query = start_query(job, counts_of(job, spark, settings, options), settings, folder, writer)
        except PySparkException as error:
            raise cause_of(error) from error
        watch = QueryWatch(query, writer, folder, bridges, settings.stall_after.total_seconds(), settings.drain_to_file)
        watch.until_the_end(stop)
        # The last micro-batch is committed only now that the query has stopped.
        writer.clear_committed()
        table.verify()
        tally = table.tally()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def counts_of(job: CountsTableJob, spark: SparkSession, settings: JobSettings, options: Any) -> DataFrame:
    """Return the counts of the lines that arrive at the bridges."""
    lines = spark.readStream.format(job.source).options(**job.source_options(settings, options)).load()
    return job.rows(lines, options)


def start_query(
    job: CountsTableJob, counts: DataFrame, settings: JobSettings, folder: JobFolder, writer: BatchWriter
) -> StreamingQuery:
    """Start the stream; each micro-batch hands the changed counts to ``writer``."""
    return (
        counts.writeStream.queryName(job.name)
        .outputMode("update")
        .option("checkpointLocation", str(folder.checkpoint.folder))
        .trigger(processingTime=spark_interval(settings.trigger))
        .foreachBatch(writer)
        .start()
    )
