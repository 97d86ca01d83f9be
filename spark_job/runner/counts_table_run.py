"""Counts URLs into the results table, one transaction for each micro-batch, until a stop or a drained log ends it.

The table is the only state: see :mod:`spark_job.runner.new_query`.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.accounting.open_panes import write_open_from
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.bridge_positions import commit_positions, first_offset, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.new_query import options_from, start_new_query, starts_of
from spark_job.runner.query_watch import QueryWatch
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.spark_errors import cause_of
from spark_job.sinks.base import ChangedWindows
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.source import register

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.accounting.tally import Tally
    from spark_job.runner.counts_table_job import CountsTableJob
    from spark_job.runner.job_settings import JobSettings
    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.reader import Window
    from spark_job.source.bridges import Bridges
    from spark_job.windows import Windows


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
            lines = lines_of(job, spark, settings, options, starts)
        except PySparkException as error:
            raise cause_of(error) from error
        query = start_new_query(job.name, lines, settings, folder, writer)
        stall_after_s = settings.stall_after.total_seconds()
        with BackgroundCalls(*(sink.write_if_due for sink in sinks)) as background:
            watch = QueryWatch(query, writer, folder, bridges, stall_after_s, settings.drain_to_file, background.start)
            watch.until_the_end(stop)
        table.verify()
        tally = table.tally()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
    return tally


def make_writer(
    job: CountsTableJob,
    settings: JobSettings,
    options: Any,
    folder: JobFolder,
    table: CountsTable,
    sinks: Sequence[Sink],
    starts: Mapping[str, int],
    bridges: Bridges,
) -> BatchWriter[list[Window]]:
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
        ledger,
        table,
        lambda positions: commit_positions(bridges, settings.consumer, positions),
        shower(table, sinks),
        letters,
        now=lambda: datetime.now(UTC),
        tell_readers=teller(table, options.windows, folder.audit),
    )
    writer.clear_audit()
    letters.drop_audit()
    return writer


def shower(table: CountsTable, sinks: Sequence[Sink]) -> Callable[[LedgerEntry, list[Window], Tally], None]:
    """Return the function that hands each stored micro-batch to the sinks."""

    def show(entry: LedgerEntry, windows: list[Window], tally: Tally) -> None:
        for sink in sinks:
            sink.write(ChangedWindows(entry, windows, tally, table))

    return show


def teller(table: CountsTable, windows: Windows, audit: Path) -> Callable[[], None]:
    """Return the function that writes down for the readers of the next micro-batch which lines are too old."""

    def tell() -> None:
        closed_us = table.closed_before_us()
        write_open_from(audit, None if closed_us is None else windows.open_from_us(closed_us))

    return tell


def lines_of(
    job: CountsTableJob, spark: SparkSession, settings: JobSettings, options: Any, starts: Mapping[str, int]
) -> DataFrame:
    """Return the stream of lines, added up per pane, from ``starts`` on."""
    given = options_from(job.source_options(settings, options), starts)
    return spark.readStream.format(job.source).options(**given).load()
