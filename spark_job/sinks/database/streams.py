"""``upsert``: the end of a query, over a stream or over a batch, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.durations import spark_interval
from spark_job.errors import OptionError
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.target import DEFAULT_RETRY_FOR, parse_target
from spark_job.sinks.database.writing import TableWriter, write_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

OUTPUT_MODES = ("update", "append", "complete")
CHECKPOINTS = "spark.sql.streaming.checkpointLocation"


def upsert(
    result: DataFrame,
    url: str,
    table: str,
    *,
    key: Sequence[str],
    output_mode: str = "update",
    create: bool = True,
    retry_for: timedelta = DEFAULT_RETRY_FOR,
    password_file: Path | None = None,
    checkpoint: Path | str | None = None,
    trigger: timedelta | None = None,
) -> StreamingQuery | int:
    """Keep a table equal to a result: each row takes the place of the one that has its key.

    The rows of a micro-batch go through the driver and into the table in one transaction, together with the batch's
    number, so a batch that Spark runs again after a restart changes nothing. ``format("upsert")`` is for results that
    are too large for the driver.

    Args:
        result: a streaming DataFrame, or one of a batch.
        url: the database; see ``target``.
        table: name of the table.
        key: columns that tell the rows of the result apart. A struct, such as ``window``, stands for all its fields.
        output_mode: ``update`` (rows that changed), ``append`` (rows that will not change any more) or ``complete``
            (all rows; those that are not in the result are deleted).
        create: make the table when it is not there.
        retry_for: how long an outage of the database is waited for.
        password_file: file whose first line is the password.
        checkpoint: where the query keeps its place; None: below Spark's ``spark.sql.streaming.checkpointLocation``.
        trigger: shortest time between two micro-batches; None: as soon as there is something.

    Returns:
        The running query; for a batch the number of rows written.

    Raises:
        OptionError: an argument cannot be used, or the table does not fit.
        SinkError: the database is gone for too long, or refuses.
    """
    target = parse_target(url, password_file, retry_for)
    if output_mode not in OUTPUT_MODES:
        raise OptionError(f"output mode {output_mode!r}: there are {', '.join(OUTPUT_MODES)}")
    replace = output_mode == "complete"
    if not result.isStreaming:
        return write_batch(target, table, key, result, query_id=None, create=create, replace=replace)
    place = str(checkpoint) if checkpoint is not None else None
    if place is None and result.sparkSession.conf.get(CHECKPOINTS, None) is None:
        raise OptionError(
            f"no checkpoint: say checkpoint=FOLDER, or set {CHECKPOINTS}; a query that is started again without one "
            "has forgotten which batches the table holds"
        )
    batches = BatchUpsert(Database(target), table, key, create=create, replace=replace)
    stream = result.writeStream.outputMode(output_mode).queryName(f"upsert-{table}").foreachBatch(batches)
    if place is not None:
        stream = stream.option("checkpointLocation", place)
    if trigger is not None:
        stream = stream.trigger(processingTime=spark_interval(trigger))
    return stream.start()


class BatchUpsert:
    """The function that Spark calls with each micro-batch, on a thread of its own, one batch at a time.

    Args:
        database: where.
        table: name of the table.
        key: columns that tell the rows of the result apart.
        create: make the table when it is not there.
        replace: what is not in a batch is deleted.
    """

    def __init__(self, database: Database, table: str, key: Sequence[str], *, create: bool, replace: bool) -> None:
        self._database = database
        self._table = table
        self._key = key
        self._create = create
        self._replace = replace
        self._writer: TableWriter | None = None

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store one batch."""
        rows = changed.toArrow()
        if self._writer is None:
            self._writer = TableWriter(self._database, self._table, rows.schema, self._key, create=self._create)
        self._writer.write(rows, query_id=query_id_of(changed), batch_id=batch_id, replace=self._replace)


def query_id_of(batch: DataFrame) -> str:
    """Return the id of the query whose micro-batch this is.

    Raises:
        OptionError: it is no micro-batch.
    """
    query_id = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if query_id is None:
        raise OptionError("this is no micro-batch of a query")
    return str(query_id)
