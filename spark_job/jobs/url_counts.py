"""The job ``url-counts``: how often each URL was asked for, in windows of time.

Read from :func:`url_counts` on: the query is what one would write over a table. The rest is about one thing, that the
numbers stay right whatever is killed: the table takes a batch once, the ledger accounts for each line, and where the
query stands is in its checkpoint.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException

from headrace.common.durations import format_duration, spark_interval
from headrace.common.files import replacing
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.accounting.tally import Tally
from spark_job.errors import sink_errors
from spark_job.jobs.options import UrlCountsOptions
from spark_job.parse import LineParser
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.query_watch import QueryKeeper, cause_of
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.structured.job import StructuredJob
from spark_job.runner.structured.stream import first_offset
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.source import register
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_access_log_options
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.runner.job_settings import JobSettings

STATUS_PATIENCE_S = 1.0


def source_options(settings: JobSettings, options: UrlCountsOptions) -> dict[str, str]:
    """Return the options of the source: lines are added up per pane where they are read."""
    return settings.access_log_options() | {
        "rollup": spark_interval(options.windows.pane),
        "audit": str(settings.job_folder / "audit"),
    }


def url_counts(spark: SparkSession, settings: JobSettings, options: UrlCountsOptions) -> DataFrame:
    """Count the lines that arrive at the bridges."""
    windows = options.windows
    lines = spark.readStream.format("access_log").options(**source_options(settings, options)).load()
    return count_urls(lines, windows.length, windows.slide, windows.watermark)


def start_query(counts: DataFrame, settings: JobSettings, folder: JobFolder, writer: BatchWriter) -> StreamingQuery:
    """Start the stream. Each batch hands over the counts that changed."""
    return (
        counts.writeStream.queryName("url-counts")
        .outputMode("update")
        .option("checkpointLocation", str(folder.checkpoint.folder))
        .trigger(processingTime=spark_interval(settings.trigger))
        .foreachBatch(writer)
        .start()
    )


@dataclass(frozen=True)
class UrlCounts:
    """The job. It has a table of its own kind, in which each batch is stored together with its ledger entry."""

    name: str = "url-counts"
    source: str = "access_log"
    options: type[UrlCountsOptions] = UrlCountsOptions

    def check(self, settings: JobSettings, options: UrlCountsOptions) -> None:
        """Refuse what the source or the parser would refuse."""
        parse_access_log_options(source_options(settings, options))
        LineParser(settings.log_format, settings.url, settings.timezone)

    def run(self, settings: JobSettings, options: UrlCountsOptions, stop: Event) -> Tally:
        """Count until a stop is asked for, or until all is drained; return the sum over all that was ever counted.

        Raises:
            OptionError: a setting cannot be used.
            JobFolderError: the job folder does not belong to these settings.
            SparkJobError: any other class of it: why the query died.
        """
        if settings.bounded:
            return BATCH.run(settings, options, stop)
        folder = JobFolder(settings.job_folder)
        with folder.claimed(fingerprint(settings, options)):
            return _run(settings, options, folder, stop)


JOB = UrlCounts()

BATCH = StructuredJob(
    name="url-counts",
    options=UrlCountsOptions,
    rows=lambda lines, options: count_urls(
        lines, options.windows.length, options.windows.slide, options.windows.watermark
    ),
    key=("window_start", "window_end", "url"),
    counted="hits",
    lateness=lambda options: options.windows,
)
"""The same function over a range of the log as a batch, in a table like those of the other jobs."""


def fingerprint(settings: JobSettings, options: UrlCountsOptions) -> dict[str, str]:
    """Return what decides what the counts mean: with a change in it, old counts and new ones do not mix."""
    return {
        "window": format_duration(options.windows.length),
        "slide": format_duration(options.windows.slide),
        "time": settings.time,
        "format": settings.log_format,
        "url": settings.url,
        "timezone": settings.timezone,
        "consumer": settings.consumer,
    }


def _run(settings: JobSettings, options: UrlCountsOptions, folder: JobFolder, stop: Event) -> Tally:
    flume = parse_access_log_options(source_options(settings, options)).flume
    with ExitStack() as opened:
        bridges = opened.enter_context(closing(Bridges(flume, RetryPolicy(STATUS_PATIENCE_S))))
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
                "headrace url-counts", folder.root, settings.master, settings.driver_memory, compile_lightly=True
            )
        )
        opened.callback(stop_session, spark)
        register(spark)
        try:
            query = start_query(url_counts(spark, settings, options), settings, folder, writer)
        except PySparkException as error:
            raise cause_of(error) from error
        keeper = QueryKeeper(
            query, writer, folder, bridges, settings.stall_after.total_seconds(), settings.drain_to_file
        )
        keeper.keep(stop)
        writer.settle()
        table.verify()
        tally = table.tally()
        with sink_errors(folder.tally), replacing(folder.tally) as file:
            file.write(json.dumps(tally.as_json(), indent=2).encode())
        keeper.report("stopped")
    return tally
