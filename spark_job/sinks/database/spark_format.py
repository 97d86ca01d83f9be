"""The Spark format ``upsert``: writes a batch, or a stream in append or complete mode, into a table by key.

:data:`OPTIONS` lists its options. Mode "overwrite" and output mode complete delete all other rows in the same
transaction. Spark refuses output mode update for writers in Python; use
:func:`~spark_job.sinks.database.upsert.upsert` for that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.pandas.types import to_arrow_schema

from headrace.common.durations import format_duration, parse_duration
from spark_job.errors import OptionError, SinkError
from spark_job.options.spark_map import OptionReader, SparkOption
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.staging import Staging
from spark_job.sinks.database.url import DEFAULT_RETRY_FOR, DatabaseUrl, parse_database_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

FORMAT = "upsert"
OPTIONS = (
    SparkOption("url", "the database; no password in it", if_not_set="required"),
    SparkOption("table", "name of the table", if_not_set="required"),
    SparkOption(
        "key",
        "comma list of the columns that tell the rows apart; a struct stands for all its fields",
        if_not_set="required",
    ),
    SparkOption("passwordFile", "file whose first line is the password; tasks read it where they run"),
    SparkOption("retryFor", "how long to retry while the database is away", default=format_duration(DEFAULT_RETRY_FOR)),
    SparkOption("create", "create a missing table", default="true"),
    SparkOption(
        "adopt",
        "take the table over from the query that owns it; a stream only does so in the first micro-batch of a new "
        "checkpoint",
        default="false",
    ),
)
QUERY_OPTIONS = frozenset({"checkpointlocation", "path", "queryname"})
"""Options of the query itself; Spark passes them to the sink too."""


@dataclass(frozen=True)
class UpsertOptions:
    """The parsed options. Spark pickles them for the tasks."""

    database: DatabaseUrl
    table: str
    key: tuple[str, ...]
    create: bool
    adopt: bool


def parse_upsert_options(options: Mapping[str, str]) -> UpsertOptions:
    """Parse the options that Spark passes as text.

    Raises:
        OptionError: an option is unknown, missing or cannot be used.
    """
    own = {name: value for name, value in options.items() if name.lower() not in QUERY_OPTIONS}
    reader = OptionReader(own, OPTIONS)
    for name in ("url", "table", "key"):
        if not reader.text(name):
            raise OptionError(f'format("{FORMAT}") needs the option {name}')
    return UpsertOptions(
        parse_database_url(
            reader.text("url"),
            reader.optional("passwordFile", Path),
            reader.value("retryFor", parse_duration),
        ),
        reader.text("table"),
        tuple(name.strip() for name in reader.text("key").split(",")),
        reader.flag("create"),
        reader.flag("adopt"),
    )


@dataclass
class Staged(WriterCommitMessage):
    """A task's message to the driver: owner, attempt id and number of the rows that it staged."""

    owner: str
    part: str
    rows: int


class UpsertDataSource(DataSource):
    """The format ``upsert`` for writing."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return FORMAT

    def writer(self, schema: StructType, overwrite: bool) -> BatchUpsertWriter:  # noqa: FBT001 -- Spark's signature
        """Return the writer of a batch, after making table and staging table."""
        return BatchUpsertWriter(parse_upsert_options(self.options), schema, replace=overwrite)

    def streamWriter(self, schema: StructType, overwrite: bool) -> StreamUpsertWriter:  # noqa: FBT001 -- as above
        """Return the writer of a stream, after making table and staging table."""
        return StreamUpsertWriter(parse_upsert_options(self.options), schema, replace=overwrite)


class _Writer:
    """Base of both writers. The driver makes one, Spark pickles it for the tasks, and the driver's own one commits."""

    def __init__(self, options: UpsertOptions, schema: StructType, *, replace: bool) -> None:
        self._options = options
        self._schema = schema
        self._replace = replace
        with self._open() as database:
            self._staging(database).purge()

    def _open(self) -> Database:
        return Database(self._options.database)

    def _staging(self, database: Database, *, adopt: bool = False) -> Staging:
        schema, options = to_arrow_schema(self._schema, timezone="UTC"), self._options
        return Staging(database, options.table, schema, options.key, create=options.create, adopt=adopt)

    def _stage(self, owner: str, batches: Iterator[pa.RecordBatch]) -> Staged:
        with self._open() as database:
            part, rows = self._staging(database).stage(owner, batches)
        return Staged(owner, part, rows)

    def _commit(self, owner: str, staged: Iterable[Staged], batch_id: int | None) -> None:
        parts = {message.part: message.rows for message in staged}
        # Spark makes a new writer for each commit. A query that has lost the table must not take it back, and only the
        # number says that it has not had it yet.
        adopt = self._options.adopt and not batch_id
        with self._open() as database:
            self._staging(database, adopt=adopt).move(owner, parts, batch_id, replace=self._replace)

    def _abort(self, messages: Iterable[WriterCommitMessage | None]) -> None:
        try:
            with self._open() as database:
                self._staging(database).drop(message.part for message in _staged(messages))
        except SinkError:
            # The write has failed already, maybe because the database is away. The next commit deletes the rows.
            return


class BatchUpsertWriter(_Writer, DataSourceArrowWriter):
    """Writes one batch."""

    def __init__(self, options: UpsertOptions, schema: StructType, *, replace: bool) -> None:
        super().__init__(options, schema, replace=replace)
        with self._open() as database:
            self._staging(database, adopt=options.adopt).check_owner()
        self._owner = str(uuid.uuid4())

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Staged:
        """Stage the rows of one task."""
        return self._stage(self._owner, iterator)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Move the staged rows into the table."""
        self._commit(self._owner, _staged(messages), None)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Delete the staged rows."""
        self._abort(messages)


class StreamUpsertWriter(_Writer, DataSourceStreamArrowWriter):
    """Writes the micro-batches of a query."""

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Staged:
        """Stage the rows of one task."""
        context = TaskContext.get()
        query_id = context.getLocalProperty("sql.streaming.queryId") if context is not None else None
        if query_id is None:
            raise OptionError("this task belongs to no query; write a batch without writeStream")
        return self._stage(query_id, iterator)

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Move the staged rows into the table, unless this batch was moved already."""
        staged = _staged(messages)
        if staged:
            self._commit(staged[0].owner, staged, batchId)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: ARG002 -- Spark's
        """Delete the staged rows."""
        self._abort(messages)


def _staged(messages: Iterable[WriterCommitMessage | None]) -> list[Staged]:
    return [message for message in messages if isinstance(message, Staged)]


def register_upsert(spark: SparkSession) -> None:
    """Register ``format("upsert")`` in a session."""
    spark.dataSource.register(UpsertDataSource)
