"""Runs a job over JSON objects: follows a bucket or folder with one query per table, or reads given files once."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql.streaming.query import StreamingQuery

from headrace.common.files import replacing
from spark_job.errors import QueryFailed, QueryStalled, sink_errors
from spark_job.runner.job import table_name
from spark_job.runner.job_run import job_run
from spark_job.runner.progress import write_progress
from spark_job.runner.s3a import SCHEME, s3a_settings
from spark_job.runner.spark_errors import cause_of, first_line
from spark_job.runner.watch import Watch
from spark_job.sinks.database import Database, DatabaseUrl, parse_database_url, read_rows, upsert
from spark_job.sinks.database.columns import flat_table
from spark_job.sinks.rows import RowsConsole, json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobSettings
    from spark_job.runner.objects.job import ObjectsJob, ObjectsOptions

RECORDS_OF_A_LINE = (
    "CASE WHEN forall(from_json(value, 'array<string>'), each -> each LIKE '{%') THEN json_array_length(value)"
    " ELSE 1 END"
)
"""Spark reads a line that is an array of objects as that many records, and any other line as one."""


@dataclass(frozen=True)
class RecordTally:
    """The tally of a run. Only a bounded run counts the records read, from another source than the rest."""

    counted: int
    malformed: int
    read: int | None = None

    @property
    def balanced(self) -> bool:
        """Whether each record is accounted for exactly once."""
        return self.read is None or self.read == self.counted + self.malformed

    def __str__(self) -> str:
        parts = f"counted {self.counted:,} + malformed {self.malformed:,}"
        if self.read is None:
            return f"records {parts}"
        return f"records read {self.read:,} {'=' if self.balanced else chr(0x2260)} {parts}"


def run_objects(job: ObjectsJob, settings: JobSettings, options: ObjectsOptions, stop: Event) -> RecordTally:
    """Run a job until a stop is requested, or over the files that the options name.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the job died.
    """
    job.check(settings, options)
    with job_run(job.name, settings, job.fingerprint(options), job.options, stop) as run:
        folder, database = run.folder, database_of(settings, run.folder)
        more = (
            s3a_settings(options.s3a_jars, options.endpoint, options.region, path_style=options.path_style)
            if options.path.startswith(SCHEME)
            else {}
        )
        spark = run.start_spark(more, compile_lightly=False)
        try:
            if options.files:
                tally = read_files(job, spark, settings, options, database)
            else:
                follow(job, spark, settings, options, folder, database, stop)
                tally = tally_of(database, job.name)
        except PySparkException as error:
            raise cause_of(error) from error
        except Py4JJavaError as error:
            # Java raised it before a query existed: no such bucket, or no permission to list it.
            raise QueryFailed(first_line(str(error.java_exception.toString()))) from error
        folder.write_tally(asdict(tally))
        write_progress(folder.progress, "stopped")
    return tally


def read_files(
    job: ObjectsJob, spark: SparkSession, settings: JobSettings, options: ObjectsOptions, database: DatabaseUrl
) -> RecordTally:
    """Read the files of the options as a batch into the tables; return the tally."""
    paths = [str(path) for path in options.files]
    records = job.records(spark.read, paths)
    for result, name, key in job.results(records, options):
        upsert(
            result,
            str(database),
            name,
            key=key,
            output_mode="complete",
            password_file=database.password_file,
            adopt=adopts(settings),
        )
    for sink in settings.sinks:
        if sink.path is not None:
            with sink_errors(sink.path), replacing(sink.path) as file:
                file.writelines(json_line(row).encode() for row in read_rows(database, table_name(job.name)))
    # Counted from the text, not from ``records``: a sum of two numbers from one reader would always balance.
    lines = spark.read.text(paths).where(r"value RLIKE '\\S'")
    (read,) = lines.selectExpr(f"sum({RECORDS_OF_A_LINE})").collect()[0]
    return tally_of(database, job.name, read or 0)


def follow(
    job: ObjectsJob,
    spark: SparkSession,
    settings: JobSettings,
    options: ObjectsOptions,
    folder: JobFolder,
    database: DatabaseUrl,
    stop: Event,
) -> None:
    """Follow the bucket or folder until a stop is requested."""
    reader = spark.readStream.option("maxFilesPerTrigger", options.max_files).option("recursiveFileLookup", "true")
    console = RowsConsole(settings.top) if any(sink.kind == "console" for sink in settings.sinks) else None

    def show(rows: pa.Table) -> None:
        if console is not None and rows.num_rows:
            shown = flat_table(rows.slice(0, settings.top)).to_pylist()
            console.show(shown, rows.num_rows, f"{rows.num_rows:,} rows changed")

    queries = []
    for result, name, key in job.results(job.records(reader, options.path), options):
        query = upsert(
            result,
            str(database),
            name,
            key=key,
            retry_for=settings.retry_for,
            password_file=database.password_file,
            adopt=adopts(settings),
            checkpoint=folder.root / f"checkpoint-{name}",
            trigger=settings.trigger,
            stored=show if name == table_name(job.name) else None,
        )
        assert isinstance(query, StreamingQuery)  # noqa: S101 -- upsert returns a query for a stream
        queries.append(query)
    Watch(RunningQueries(queries, settings.stall_after.total_seconds()), folder, settings).until_the_end(stop)


def database_of(settings: JobSettings, folder: JobFolder) -> DatabaseUrl:
    """Return the database that the job writes: the one of ``--sink``, or the file in the job's folder."""
    databases = settings.databases()
    return databases[0] if databases else parse_database_url(f"sqlite:///{folder.counts}")


def adopts(settings: JobSettings) -> bool:
    """Whether the run takes its tables from another owner; those in the job's folder belong to whoever holds it."""
    return settings.adopt_table or not settings.databases()


def tally_of(url: DatabaseUrl, job_name: str, read: int | None = None) -> RecordTally:
    """Return the tally, counted from the tables."""
    name = table_name(job_name)
    with Database(url) as database:
        counted, malformed = (
            sum(int(row["count"]) for row in read_rows(database, table)) for table in (name, f"{name}_malformed")
        )
    return RecordTally(counted, malformed, read)


class RunningQueries:
    """Several queries, as the watch sees them. An idle query reports progress every ten seconds.

    Args:
        queries: the queries.
        stall_after_s: how long each may be without a report.
        clock: monotonic seconds.
    """

    def __init__(
        self, queries: Sequence[StreamingQuery], stall_after_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._queries = queries
        self._stall_after_s = stall_after_s
        self._clock = clock
        self._seen = {query.id: ("", clock()) for query in queries}

    def start(self) -> None:
        """Do nothing: Spark returns a query that runs."""

    def check(self) -> None:
        """Do nothing while all queries run.

        Raises:
            QueryFailed: one ended; an error of this package comes through as it is.
            QueryStalled: one reported no progress for too long.
        """
        for query in self._queries:
            if not query.isActive:
                error = query.exception()
                raise QueryFailed("a query ended without an error") if error is None else cause_of(error)
            progress = query.lastProgress
            reported, since_s = self._seen[query.id]
            if progress is not None and progress.timestamp != reported:
                self._seen[query.id] = (progress.timestamp, self._clock())
            elif self._clock() - since_s > self._stall_after_s:
                raise QueryStalled(f"{query.name}: no progress for {self._clock() - since_s:.0f} seconds")

    def progress(self) -> None:
        """Return None: the reports of several queries are not one."""

    def stop(self) -> str:
        """Stop them all."""
        for query in self._queries:
            query.stop()
        return ""
