"""A structured job that runs: a stream into the tables, batch by batch, until somebody ends it."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql.pandas.types import to_arrow_schema

from headrace.common.durations import spark_interval
from headrace.common.files import replacing
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.accounting.totals_file import TotalsFile
from spark_job.errors import AccountingError, JobFolderError, sink_errors
from spark_job.runner.batch_writer import Progress
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.progress import write_progress
from spark_job.runner.query_watch import QueryKeeper, cause_of
from spark_job.runner.results import Results, numbered
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.structured.job import batch_of, flume_options, stream_of
from spark_job.source import register
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.accounting.tally import Tally
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.structured.job import Shape, StructuredJob

STATUS_PATIENCE_S = 1.0
ROWS_OF_A_BATCH = 1 << 32
"""Numbers that a batch has for its rows."""
APPEND_SETTINGS = {"spark.sql.streaming.noDataMicroBatches.enabled": "true"}
"""Results that come when they are final come in the batch after the one that moved the watermark, lines or no lines."""


def run_live(job: StructuredJob, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
    """Run a job; see :meth:`.StructuredJob.run`."""
    folder = JobFolder(settings.job_folder)
    with folder.claimed(job.fingerprint(settings, options)), ExitStack() as opened:
        bridges = opened.enter_context(closing(Bridges(flume_options(settings), RetryPolicy(STATUS_PATIENCE_S))))
        books = TotalsFile(folder.books)
        folder.check(books)
        spark = start_session(session_of(job, settings, folder))
        opened.callback(stop_session, spark)
        register(spark)
        options = prepared(job, settings, options, folder, spark, stop)
        if stop.is_set():
            return books.tally(None, 1, final=True)
        try:
            result = job.rows(stream_of(spark, job.source, job.source_options(settings, options)), options)
            shape = job.shape_of(result, options)
            results = opened.enter_context(open_results(job, settings, folder, result, shape))
            writer = make_writer(job, settings, options, folder, bridges, books, results, shape)
            query = start_query(job, settings, folder, result, writer)
        except PySparkException as error:
            raise cause_of(error) from error
        keeper = QueryKeeper(
            query, writer, folder, bridges, settings.stall_after.total_seconds(), settings.drain_to_file
        )
        keeper.keep(stop)
        writer.settle()
        tally = writer.final_tally()
        with sink_errors(folder.tally), replacing(folder.tally) as file:
            file.write(json.dumps(tally.as_json(), indent=2).encode())
        keeper.report("stopped")
    return tally


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
    """Return the options that the job's function gets."""
    if job.prepared is None:
        return options
    given = {
        name: value
        for name, value in job.source_options(settings, options).items()
        if name not in ("audit", "auditPane", "startingOffsets")
    }
    write_progress(folder.progress, "running", datetime.now(UTC))
    made: JobOptions = job.prepared(lambda: batch_of(spark, job.source, given), options, folder.root, stop)
    return made


def open_results(
    job: StructuredJob, settings: JobSettings, folder: JobFolder, result: DataFrame, shape: Shape
) -> Results:
    """Open the tables and files of a job.

    Raises:
        JobFolderError: the table is gone, and with it what earlier batches stored.
    """
    if folder.checkpoint.newest_committed() is not None and not folder.counts.exists():
        raise JobFolderError(
            f"{folder.counts} is gone, and the checkpoint goes on from what it held; take a new job folder and "
            "consumer name to compute again"
        )
    schema = to_arrow_schema(result.schema, timezone="UTC")
    return Results(
        folder.root,
        job.name,
        numbered(schema.empty_table(), 0).schema if shape.numbered else schema,
        shape.key,
        settings.sinks,
        databases=settings.databases(),
        top=settings.top,
        counted=job.counted,
    )


def make_writer(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    bridges: Bridges,
    books: TotalsFile,
    results: Results,
    shape: Shape,
) -> ResultWriter:
    """Return the batch function of a job; the databases have caught up with the table by then."""
    owner, newest = books.owner(), books.newest_batch()
    if owner is not None and newest is not None:
        results.catch_up(owner, newest)
    ledger = Ledger(
        folder.checkpoint,
        folder.audit,
        job.lateness(options),
        lambda log_id: first_offset(bridges, settings.consumer, log_id),
        allow_loss=settings.allow_data_loss,
    )
    letters = DeadLetters(folder.audit, folder.dead_letters)
    per_line = job.lateness(options).per_line
    return ResultWriter(folder.checkpoint, ledger, books, results, letters, lambda: datetime.now(UTC), shape, per_line)


def start_query(
    job: StructuredJob, settings: JobSettings, folder: JobFolder, result: DataFrame, writer: ResultWriter
) -> StreamingQuery:
    """Start the stream. Each batch hands over the results that changed, or those that are final."""
    return (
        result.writeStream.queryName(job.name)
        .outputMode(writer.shape.output_mode)
        .option("checkpointLocation", str(folder.checkpoint.folder))
        .trigger(processingTime=spark_interval(settings.trigger))
        .foreachBatch(writer)
        .start()
    )


def in_shape(rows: pa.Table, shape: Shape, batch_id: int) -> pa.Table:
    """Return the rows of a batch in an order that does not depend on Spark's tasks, numbered where they need it."""
    if not shape.ordered:
        rows = rows.sort_by([(name, "ascending") for name in rows.schema.names])
    return numbered(rows, batch_id * ROWS_OF_A_BATCH) if shape.numbered else rows


def first_offset(bridges: Bridges, consumer: str, log_id: str) -> int:
    """Return where a consumer begins to read a log, while it has read nothing of it.

    Raises:
        AccountingError: no bridge that answers has the log or knows the consumer.
    """
    place = bridges.poll(patient=True).logs.get(log_id)
    if place is None or consumer not in place.status.consumers:
        raise AccountingError(f"no bridge tells where consumer {consumer!r} begins to read log {log_id}")
    return int(place.status.consumers[consumer]["committed"])


class ResultWriter:
    """The function that Spark calls with each micro-batch, on a thread of its own, one batch at a time.

    ``last``, ``positions``, ``tally`` and ``failure`` may be read from any thread. ``last`` is of this process alone;
    positions and tally go on from what the books hold.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        ledger: Ledger,
        books: TotalsFile,
        results: Results,
        dead_letters: DeadLetters,
        now: Callable[[], datetime],
        shape: Shape,
        windows_per_line: int,
    ) -> None:
        self._checkpoint = checkpoint
        self._ledger = ledger
        self._books = books
        self._results = results
        self._dead_letters = dead_letters
        self._now = now
        self.shape = shape
        self._windows_per_line = windows_per_line
        self.last: Progress | None = None
        self._positions_at_start = books.positions()
        self._tally_at_start = self.final_tally()
        self.failure: Exception | None = None

    @property
    def positions(self) -> dict[str, int]:
        """Log id to the offset up to which all is stored."""
        return self.last.positions if self.last is not None else self._positions_at_start

    @property
    def tally(self) -> Tally:
        """The sum over all batches that were ever stored; the number of lines counted may be a little old."""
        return self.last.tally if self.last is not None else self._tally_at_start

    def final_tally(self) -> Tally:
        """Return the sum of now."""
        return self._tally(now=True)

    def _tally(self, *, now: bool) -> Tally:
        hits = self._results.counted(now=now)
        return self._books.tally(hits, self._windows_per_line, final=self.shape.output_mode == "append")

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store and show one batch. Its plan runs once, here; the audit is complete only after that."""
        try:
            replace = self.shape.output_mode == "complete"
            rows = in_shape(changed.toArrow(), self.shape, 0 if replace else batch_id)
            entry = self._ledger.entry(batch_id)
            self._results.store(rows, query_id=entry.query_id, batch_id=batch_id, replace=replace)
            self._books.record(entry)
            self.settle()
            tally = self._tally(now=False)
            if rows.num_rows or entry.read:
                self._results.show(rows, tally)
            self.last = Progress(entry, tally, self._books.positions(), self._now())
        except Exception as error:
            # Spark turns it into a text; the job wants to say what it was.
            self.failure = error
            raise

    def settle(self) -> None:
        """Clear the audit of the batches that Spark will not run again."""
        committed = self._checkpoint.newest_committed()
        if committed is not None:
            dropped = self._dead_letters.clear_audit(self._checkpoint.planned(committed).ends)
            if dropped:
                self._books.add_dropped_dead_letters(dropped)
