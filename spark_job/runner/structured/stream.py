"""Runs a structured job live: each micro-batch goes into the tables, until a stop or a drained log ends the query.

The results of a micro-batch are stored first, together with its ledger entry, and Spark commits it last. A micro-batch
that runs again after a kill finds itself in the records of the table and changes nothing.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql.pandas.types import to_arrow_schema

from headrace.common.durations import spark_interval
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import Ledger
from spark_job.accounting.tally import Tally
from spark_job.errors import JobFolderError
from spark_job.runner.background import BackgroundCalls
from spark_job.runner.bridge_positions import first_offset, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.progress import NewestBatch, write_progress
from spark_job.runner.query_watch import QueryWatch
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.runner.spark_errors import cause_of
from spark_job.runner.structured.job import batch_of, stream_of
from spark_job.runner.structured.results import ResultStore, numbered
from spark_job.runner.structured.take_over import take_over_totals
from spark_job.source import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.structured.job import ResultShape, StructuredJob
    from spark_job.source.bridges import Bridges

ROW_NUMBERS_PER_BATCH = 1 << 32
"""Row numbers reserved for each micro-batch, so that one that runs again gives its rows the same numbers."""
APPEND_SETTINGS = {"spark.sql.streaming.noDataMicroBatches.enabled": "true"}
"""Append mode emits rows one micro-batch after the watermark passed them, so that one must run without lines too."""


def run_live(job: StructuredJob, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
    """Run a job until a stop is requested or everything is drained; return the tally of its lines.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the job died.
    """
    folder = JobFolder(settings.job_folder)
    with folder.claimed(job.fingerprint(settings, options)), ExitStack() as opened:
        bridges = opened.enter_context(closing(status_bridges(settings.parsed_flume_options())))
        spark = start_session(session_of(job, settings, folder))
        opened.callback(stop_session, spark)
        register(spark)
        options = prepared(job, settings, options, folder, spark, stop)
        if stop.is_set() and not folder.counts.exists():
            return Tally()
        try:
            result = job.rows(stream_of(spark, job.source, job.source_options(settings, options)), options)
            shape = job.shape_of(result, options)
            per_line = job.lateness(options).per_line
            results = opened.enter_context(open_results(job, settings, folder, result, shape, per_line))
            writer = make_writer(job, settings, options, folder, bridges, results, shape)
            query = start_query(job, settings, folder, result, writer)
        except PySparkException as error:
            raise cause_of(error) from error
        stall_after_s = settings.stall_after.total_seconds()
        with BackgroundCalls(results.write_if_due, writer.refresh) as background:
            watch = QueryWatch(query, writer, folder, bridges, stall_after_s, settings.drain_to_file, background.start)
            watch.until_the_end(stop)
        # The last batch is committed only now that the query has stopped.
        writer.clear_committed()
        tally = writer.final_tally()
        folder.write_tally(tally.as_json())
        watch.report("stopped")
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
) -> ResultStore:
    """Open the tables and files of a job.

    Raises:
        JobFolderError: the table is gone, and with it what earlier micro-batches stored.
        OptionError: a table in a database does not fit.
    """
    if not job.sums and folder.checkpoint.newest_committed() is not None and not folder.counts.exists():
        raise JobFolderError(
            f"{folder.counts} is gone, and the checkpoint goes on from what it held; take a new job folder and "
            "consumer name to compute again"
        )
    schema = to_arrow_schema(result.schema, timezone="UTC")
    return ResultStore(
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


def make_writer(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    bridges: Bridges,
    results: ResultStore,
    shape: ResultShape,
) -> ResultWriter:
    """Return the batch function of a job, after the databases have caught up with the table.

    Raises:
        JobFolderError: table and checkpoint do not belong together.
    """
    ledger = Ledger(
        folder.checkpoint,
        folder.audit,
        job.lateness(options),
        lambda log_id: first_offset(bridges, settings.consumer, log_id),
        allow_loss=settings.allow_data_loss,
    )
    take_over_totals(folder, results.table, ledger, sums=False)
    folder.check(results.table)
    results.catch_up(replace=shape.output_mode == "complete")
    letters = DeadLetters(folder.audit, folder.dead_letters)
    return ResultWriter(folder.checkpoint, ledger, results, letters, lambda: datetime.now(UTC), shape)


def start_query(
    job: StructuredJob, settings: JobSettings, folder: JobFolder, result: DataFrame, writer: ResultWriter
) -> StreamingQuery:
    """Start the stream; each micro-batch hands ``writer`` the results that changed, or those that are final."""
    return (
        result.writeStream.queryName(job.name)
        .outputMode(writer.shape.output_mode)
        .option("checkpointLocation", str(folder.checkpoint.folder))
        .trigger(processingTime=spark_interval(settings.trigger))
        .foreachBatch(writer)
        .start()
    )


def in_shape(rows: pa.Table, shape: ResultShape, number: int) -> pa.Table:
    """Return the rows of a micro-batch in an order that does not depend on Spark's tasks, with numbers if needed."""
    if not shape.ordered:
        rows = rows.sort_by([(name, "ascending") for name in rows.schema.names])
    return numbered(rows, number * ROW_NUMBERS_PER_BATCH) if shape.numbered else rows


class ResultWriter:
    """The function that Spark calls with each micro-batch, on its callback thread, one at a time.

    Any thread may read ``newest``, ``positions``, ``tally`` and ``failure``. ``newest`` is this process's own newest
    micro-batch; positions and tally continue from the stored totals.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        ledger: Ledger,
        results: ResultStore,
        dead_letters: DeadLetters,
        now: Callable[[], datetime],
        shape: ResultShape,
    ) -> None:
        self._checkpoint = checkpoint
        self._ledger = ledger
        self._results = results
        self._dead_letters = dead_letters
        self._now = now
        self.shape = shape
        # Held while a batch is stored, so that a count in another thread is of the same batches as the totals.
        self._storing = Lock()
        self._cleared: int | None = None
        self.newest: NewestBatch | None = None
        self.positions = results.table.positions()
        self.tally = self.final_tally()
        self.failure: Exception | None = None

    def final_tally(self) -> Tally:
        """Return the tally, counted now."""
        return self._tally(now=True)

    def _tally(self, *, now: bool) -> Tally:
        hits = self._results.counted(now=now)
        # A line that an old count lacks is open, not missing, until the next count.
        final = self.shape.output_mode == "append" or self._results.count_is_old
        return self._results.table.tally_with(hits, final=final)

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store and show one micro-batch."""
        try:
            # toArrow runs the plan, and must stay the only action on ``changed``: a second one would read the lines
            # again. The readers' audit files are complete once it returns, so the ledger entry comes after it.
            replace = self.shape.output_mode == "complete"
            # A complete result replaces all rows, so it numbers them from 0 each time. Spark's numbers of micro-batches
            # begin again with each query, those of the table do not.
            number = 0 if replace else self._results.table.next_sequence()
            rows = in_shape(changed.toArrow(), self.shape, number)
            entry = self._ledger.entry(batch_id)
            with self._storing:
                rows = self._results.record(entry, rows, replace=replace)
                self.clear_committed()
                tally = self._tally(now=False)
                if rows.num_rows or entry.read:
                    self._results.show(rows, tally)
                self.positions, self.tally = self._results.table.positions(), tally
            self.newest = NewestBatch(batch_id, self._now(), entry.closed_before_ms)
        except Exception as error:
            # Spark keeps only its text; the job reports the error itself.
            self.failure = error
            raise

    def refresh(self) -> None:
        """Do for the newest batch what the next one would do: count its lines, clear its audit; for another thread.

        Raises:
            SparkJobError: the class says what failed.
        """
        # A batch that is being stored does the same itself.
        if self._storing.acquire(blocking=False):
            try:
                self.clear_committed()
                if self._results.count_is_old:
                    self.tally = self._tally(now=False)
            finally:
                self._storing.release()

    def clear_committed(self) -> None:
        """Delete the audit files of the micro-batches that Spark has committed: it never runs those again."""
        committed = self._checkpoint.newest_committed()
        if committed is not None and committed != self._cleared:
            dropped = self._dead_letters.clear_audit(self._checkpoint.planned(committed).ends)
            if dropped:
                self._results.table.add_dropped_dead_letters(dropped)
            self._cleared = committed
