"""A job over JSON objects in a bucket or a folder: its result, and its table of malformed records.

::

    objects ──► events with all fields ──► rows(events) ──► upsert ──► <job>
         └────► malformed records ───────► counted ───────► upsert ──► <job>_malformed: file, digest, reason,
                                                                       record, count

Each result is a stream over the same objects, with its own checkpoint. A bounded run reads given files
as a batch, through the same functions. Its sum has three independent counters: the records by the lines of text, the
events counted in the table, and the records counted as malformed. If a line holds several objects, Spark reads only the
first; the rest is not counted.

A record is malformed if it is not JSON, if a field is missing or of another type, or if its time is outside the years 1
to 9999, which no database can store. At most 64 KiB of a record are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from spark_job.errors import OptionError
from spark_job.options.model import Flag
from spark_job.runner.job import table_name
from spark_job.runner.job_settings import PROCESS, JobOptions, described
from spark_job.runner.s3a import check_endpoint, check_object_path
from spark_job.sinks.sink_spec import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from pyspark.sql import Column, DataFrame

    from spark_job.runner.job_settings import JobSettings

SOURCE = "objects"
CORRUPT = "_corrupt_record"
LONGEST_RECORD = 65_536
CHANGEABLE = ("s3a_jars", "max_files")
"""Options that may differ from one start to the next."""
FIRST_TIME, END_OF_TIME = "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"


class ObjectsOptions(JobOptions):
    """Options of every job over JSON objects."""

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
class ObjectsJob:
    """One job.

    Attributes:
        name: the name on the command line, ``headrace job NAME``; also the table's.
        options: the model of the job's own options.
        rows: from events to results; the same for a stream and for a batch. Its column ``count`` counts events.
        fields: the fields of an event, name to type; an event has all of them. ``time`` is one of them.
        key: the columns of the result that tell its rows apart.
    """

    name: str
    options: type[ObjectsOptions]
    rows: Callable[[DataFrame, Any], DataFrame]
    fields: Mapping[str, str]
    key: tuple[str, ...]
    source: str = SOURCE

    def resolved(self, options: Any) -> Self:  # noqa: ARG002 -- the interface of every job
        """Return this job: it computes the same thing for all options."""
        return self

    def fingerprint(self, options: ObjectsOptions) -> dict[str, str]:
        """Return what decides what the results mean; if it changes, old results and new ones do not mix."""
        own = {name: text for name, text in described(options).items() if name not in CHANGEABLE}
        return {"job": self.name, **own}

    def check(self, settings: JobSettings, options: ObjectsOptions) -> None:
        """Refuse what cannot be used together.

        Raises:
            OptionError: the text names the option.
        """
        if not options.path and not options.files:
            raise OptionError(
                f"job {self.name}: no objects are named; add --path s3a://bucket/prefix, or --path FOLDER"
            )
        check_object_path(options.path)
        if options.endpoint is not None:
            check_endpoint(options.endpoint)
        local = options.path.removeprefix("file://")
        if options.path and "://" not in local and not Path(local).is_dir():
            raise OptionError(f"--path {options.path}: the folder does not exist")
        if sum(sink.kind == DATABASE for sink in settings.sinks) > 1:
            raise OptionError(f"job {self.name} writes into one database; give --sink with one URL only")
        for sink in settings.sinks:
            if sink.kind == "parquet" or (sink.kind == "jsonl" and not options.files):
                raise OptionError(f"--sink {sink}: job {self.name} takes a database; --out is for --once")

    def records(self, reader: Any, paths: str | list[str]) -> DataFrame:
        """Return all records: their fields, the text of those that are no JSON, and the object of each.

        Args:
            reader: of a batch or of a stream.
            paths: of the objects.
        """
        schema = ", ".join(f"{name} {kind}" for name, kind in {**self.fields, CORRUPT: "string"}.items())
        reading = reader.schema(schema).option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT)
        records: DataFrame = reading.json(paths)
        return records.withColumn("file", F.col("_metadata.file_path"))

    def results(self, records: DataFrame, options: ObjectsOptions) -> list[tuple[DataFrame, str, tuple[str, ...]]]:
        """Return each result with the name and key of its table: the job's own result and the malformed records."""
        reason = self._reason()
        events = records.where(reason.isNull()).drop(CORRUPT, "file")
        record = F.coalesce(F.col(CORRUPT), F.to_json(F.struct(*self.fields)))
        malformed = (
            records.where(reason.isNotNull())
            .groupBy("file", F.sha2(record, 256).alias("digest"))
            .agg(
                F.first(reason).alias("reason"),
                F.first(F.substring(record, 1, LONGEST_RECORD)).alias("record"),
                F.count(F.lit(1)).alias("count"),
            )
        )
        name = table_name(self.name)
        return [(self.rows(events, options), name, self.key), (malformed, f"{name}_malformed", ("file", "digest"))]

    def _reason(self) -> Column:
        """Return the reason why a record is malformed; NULL for an event."""
        missing = [F.when(F.col(name).isNull(), f"no {name}, or not a {kind}") for name, kind in self.fields.items()]
        beyond = ~F.col("time").between(F.lit(FIRST_TIME).cast("timestamp"), F.lit(END_OF_TIME).cast("timestamp"))
        reasons = [F.when(F.col(CORRUPT).isNotNull(), "not JSON, or a field is of another type"), *missing]
        return reduce(lambda one, other: F.coalesce(one, other), [*reasons, F.when(beyond, "beyond the year 9999")])
