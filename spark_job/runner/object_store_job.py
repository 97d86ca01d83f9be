"""Jobs that read JSON objects from a bucket or a folder, and keep a table in a database equal to their result.

::

    objects ──► events that have all fields ──► rows(events) ──► upsert ──► <job>
         └────► what is no event ─────────────► counted ───────► upsert ──► <job>_malformed: file, digest, reason,
                                                                            record, count

Both are streams of their own over the same objects, each with its checkpoint. A bounded run reads given files as a
batch, through the same functions. Its sum has three counters that know nothing of each other: the records by the lines
of text, the events counted in the table, and the records counted as malformed. What follows an object on the same line
is nobody's: Spark reads the first one and says nothing of the rest.

A record is malformed when it is no JSON, when a field is of another type or missing, or when its time is beyond the
years 1 to 9999, which no database has. Of a record at most 64 KiB are kept.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from py4j.protocol import Py4JJavaError
from pydantic import Field
from pyspark.errors import PySparkException
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery

from headrace.common.files import replacing
from spark_job.errors import OptionError, QueryFailed, QueryStalled, sink_errors
from spark_job.options.model import Flag
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import PROCESS, JobOptions, described
from spark_job.runner.progress import write_progress
from spark_job.runner.query_watch import JAVA_IS_GONE, cause_of, first_line
from spark_job.runner.s3a import SCHEME, check_endpoint, check_object_path, s3a_settings
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.sinks.database import Database, Target, parse_target, read_rows, upsert
from spark_job.sinks.database.columns import flat_table
from spark_job.sinks.rows import RowsConsole, json_line
from spark_job.sinks.sink_spec import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

    from spark_job.runner.job_settings import JobSettings

SOURCE = "objects"
CORRUPT = "_corrupt_record"
LONGEST_RECORD = 65_536
LOOK_EVERY_S = 0.25
RECORDS_OF_A_LINE = (
    "CASE WHEN forall(from_json(value, 'array<string>'), each -> each LIKE '{%') THEN json_array_length(value)"
    " ELSE 1 END"
)
"""Spark takes a line that is an array of objects for as many records, and any other line for one."""
FIRST_TIME, END_OF_TIME = "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"


class ObjectsOptions(JobOptions):
    """Options of every job over objects."""

    path: str = Field("", description="Where the objects are: s3a://bucket/prefix, or a folder of this machine.")
    endpoint: Annotated[str | None, Flag(shown_default="AWS_ENDPOINT_URL_S3, or Amazon's")] = Field(
        None, description="URL of the S3 server."
    )
    region: Annotated[str | None, Flag(shown_default="AWS_REGION, or us-east-1")] = Field(
        None, description="Region of the bucket."
    )
    path_style: bool = Field(False, description="The bucket is part of the path, as most servers but Amazon's want it.")
    max_files: int = Field(1_000, ge=1, description="Objects of one micro-batch at most.")
    files: Annotated[tuple[Path, ...], Flag("file", PROCESS, internal=True)] = Field(
        (), description="Read this file and end; repeat it for several."
    )
    s3a_jars: Annotated[Path | None, Flag(panel=PROCESS, internal=True)] = Field(
        None, description="Folder with the jars that S3 needs."
    )


@dataclass(frozen=True)
class RecordTally:
    """What became of the records. A stream knows no number of records read that these two are not made of."""

    counted: int
    malformed: int
    read: int | None = None

    @property
    def balanced(self) -> bool:
        """Whether each record is accounted for, once."""
        return self.read is None or self.read == self.counted + self.malformed

    def __str__(self) -> str:
        parts = f"counted {self.counted:,} + malformed {self.malformed:,}"
        if self.read is None:
            return f"records {parts}"
        return f"records read {self.read:,} {'=' if self.balanced else chr(0x2260)} {parts}"


@dataclass(frozen=True)
class ObjectsJob:
    """One job.

    Attributes:
        name: as in ``headrace job NAME``; also of its table.
        options: the model of its own options.
        rows: from events to results; the same for a stream and for a batch. Its column ``count`` counts events.
        fields: of an event, name to type; all have to be there. ``time`` is one of them.
        key: the columns of the result that tell its rows apart.
    """

    name: str
    options: type[ObjectsOptions]
    rows: Callable[[DataFrame, Any], DataFrame]
    fields: Mapping[str, str]
    key: tuple[str, ...]
    source: str = SOURCE

    def check(self, settings: JobSettings, options: ObjectsOptions) -> None:
        """Refuse what cannot be used together.

        Raises:
            OptionError: the text names the option.
        """
        if not options.path and not options.files:
            raise OptionError(f"job {self.name}: say where the objects are: --path s3a://bucket/prefix, or a folder")
        check_object_path(options.path)
        if options.endpoint is not None:
            check_endpoint(options.endpoint)
        local = options.path.removeprefix("file://")
        if options.path and "://" not in local and not Path(local).is_dir():
            raise OptionError(f"--path {options.path}: there is no such folder")
        if sum(sink.kind == DATABASE for sink in settings.sinks) > 1:
            raise OptionError(f"job {self.name} writes into one database; name one by --sink")
        for sink in settings.sinks:
            if sink.kind == "parquet" or (sink.kind == "jsonl" and not options.files):
                raise OptionError(f"--sink {sink}: job {self.name} takes a database; --out is for --once")

    def run(self, settings: JobSettings, options: ObjectsOptions, stop: Event) -> RecordTally:
        """Run until a stop is asked for, or over the files that the options name.

        Raises:
            OptionError: a setting cannot be used.
            JobFolderError: the job folder does not belong to these settings.
            SparkJobError: any other class of it: why the job died.
        """
        self.check(settings, options)
        folder = JobFolder(settings.job_folder)
        fingerprint = {"job": self.name, **described(options)}
        for irrelevant in ("s3a_jars", "max_files"):
            fingerprint.pop(irrelevant, None)
        with folder.claimed(fingerprint), ExitStack() as opened:
            target = target_of(settings, folder)
            more = (
                s3a_settings(options.s3a_jars, options.endpoint, options.region, path_style=options.path_style)
                if options.path.startswith(SCHEME)
                else {}
            )
            spark = start_session(
                SessionSettings(
                    f"headrace {self.name}", folder.root, settings.master, settings.driver_memory, more=more
                )
            )
            opened.callback(stop_session, spark)
            try:
                work = self._read_files if options.files else self._follow
                tally = work(spark, settings, options, folder, target, stop)
            except PySparkException as error:
                raise cause_of(error) from error
            except Py4JJavaError as error:
                # What Java raised before there was a query: no bucket of that name, no right to look into it.
                raise QueryFailed(first_line(str(error.java_exception.toString()))) from error
            with sink_errors(folder.tally), replacing(folder.tally) as file:
                file.write(json.dumps(asdict(tally), indent=2).encode())
            write_progress(folder.progress, "stopped", datetime.now(UTC))
        return tally

    def _read_files(
        self,
        spark: SparkSession,
        settings: JobSettings,
        options: ObjectsOptions,
        _folder: JobFolder,
        target: Target,
        _stop: Event,
    ) -> RecordTally:
        paths = [str(path) for path in options.files]
        records = self.records(spark.read, paths)
        for result, name, key in self.results(records, options):
            upsert(result, str(target), name, key=key, output_mode="complete", password_file=target.password_file)
        for sink in settings.sinks:
            if sink.path is not None:
                with sink_errors(sink.path), replacing(sink.path) as file:
                    file.writelines(json_line(row).encode() for row in read_rows(target, table_name(self.name)))
        lines = spark.read.text(paths).where(r"value RLIKE '\\S'")
        (read,) = lines.selectExpr(f"sum({RECORDS_OF_A_LINE})").collect()[0]
        return tally_of(target, self.name, read or 0)

    def _follow(
        self,
        spark: SparkSession,
        settings: JobSettings,
        options: ObjectsOptions,
        folder: JobFolder,
        target: Target,
        stop: Event,
    ) -> RecordTally:
        reader = spark.readStream.option("maxFilesPerTrigger", options.max_files).option("recursiveFileLookup", "true")
        console = RowsConsole(settings.top) if any(sink.kind == "console" for sink in settings.sinks) else None

        def show(rows: pa.Table) -> None:
            if console is not None and rows.num_rows:
                shown = flat_table(rows.slice(0, settings.top)).to_pylist()
                console.show(shown, rows.num_rows, f"{rows.num_rows:,} rows changed")

        queries = []
        for result, name, key in self.results(self.records(reader, options.path), options):
            query = upsert(
                result,
                str(target),
                name,
                key=key,
                retry_for=settings.retry_for,
                password_file=target.password_file,
                checkpoint=folder.root / f"checkpoint-{name}",
                trigger=settings.trigger,
                stored=show if name == table_name(self.name) else None,
            )
            assert isinstance(query, StreamingQuery)  # noqa: S101 -- what upsert makes of a stream
            queries.append(query)
        keep(queries, folder, settings.stall_after.total_seconds(), stop)
        return tally_of(target, self.name)

    def records(self, reader: Any, paths: str | list[str]) -> DataFrame:
        """Return all records with the fields, the text of those that are none, and where each comes from.

        Args:
            reader: of a batch or of a stream.
            paths: of the objects.
        """
        schema = ", ".join(f"{name} {kind}" for name, kind in {**self.fields, CORRUPT: "string"}.items())
        reading = reader.schema(schema).option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT)
        records: DataFrame = reading.json(paths)
        return records.withColumn("file", f.col("_metadata.file_path"))

    def results(self, records: DataFrame, options: ObjectsOptions) -> list[tuple[DataFrame, str, tuple[str, ...]]]:
        """Return each result with the name and the key of its table: the job's own, and what is malformed."""
        reason = self._reason()
        events = records.where(reason.isNull()).drop(CORRUPT, "file")
        record = f.coalesce(f.col(CORRUPT), f.to_json(f.struct(*self.fields)))
        malformed = (
            records.where(reason.isNotNull())
            .groupBy("file", f.sha2(record, 256).alias("digest"))
            .agg(
                f.first(reason).alias("reason"),
                f.first(f.substring(record, 1, LONGEST_RECORD)).alias("record"),
                f.count(f.lit(1)).alias("count"),
            )
        )
        name = table_name(self.name)
        return [(self.rows(events, options), name, self.key), (malformed, f"{name}_malformed", ("file", "digest"))]

    def _reason(self) -> Column:
        """Return why a record is malformed; NULL for an event."""
        missing = [f.when(f.col(name).isNull(), f"no {name}, or not a {kind}") for name, kind in self.fields.items()]
        beyond = ~f.col("time").between(f.lit(FIRST_TIME).cast("timestamp"), f.lit(END_OF_TIME).cast("timestamp"))
        reasons = [f.when(f.col(CORRUPT).isNotNull(), "not JSON, or a field is of another type"), *missing]
        return reduce(lambda one, other: f.coalesce(one, other), [*reasons, f.when(beyond, "beyond the year 9999")])


def table_name(job: str) -> str:
    """Return the name of a job's table."""
    return job.replace("-", "_")


def target_of(settings: JobSettings, folder: JobFolder) -> Target:
    """Return the database that is written to: the one of ``--sink``, or the file in the job's folder."""
    databases = settings.databases()
    return databases[0] if databases else parse_target(f"sqlite:///{folder.counts}")


def tally_of(target: Target, job: str, read: int | None = None) -> RecordTally:
    """Return the sum, from the tables."""
    name = table_name(job)
    with Database(target) as database:
        counted, malformed = (
            sum(int(row["count"]) for row in read_rows(database, table)) for table in (name, f"{name}_malformed")
        )
    return RecordTally(counted, malformed, read)


def keep(
    queries: list[StreamingQuery],
    folder: JobFolder,
    stall_after_s: float,
    stop: Event,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Look after queries until a stop is asked for; stop them all, whatever happens.

    Raises:
        QueryFailed: one has ended by itself; or the error of this package that ended it.
        QueryStalled: one has told of no progress for too long. An idle query does so every ten seconds.
    """
    seen = {query.id: ("", clock()) for query in queries}
    try:
        while not stop.wait(LOOK_EVERY_S):
            for query in queries:
                if not query.isActive:
                    error = query.exception()
                    raise QueryFailed("a query ended without an error") if error is None else cause_of(error)
                progress = query.lastProgress
                told, since_s = seen[query.id]
                if progress is not None and progress.timestamp != told:
                    seen[query.id] = (progress.timestamp, clock())
                elif clock() - since_s > stall_after_s:
                    raise QueryStalled(f"{query.name}: nothing has moved for {clock() - since_s:.0f} seconds")
            write_progress(folder.progress, "running", datetime.now(UTC))
        write_progress(folder.progress, "stopping", datetime.now(UTC))
        for query in queries:
            query.stop()
    except JAVA_IS_GONE as error:
        if not stop.is_set():
            raise QueryFailed(f"the Java side of Spark has died; {folder.root} has java.log and spark.log") from error
