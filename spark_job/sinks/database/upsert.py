"""``upsert``: the end of a query, over a stream or over a batch, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.common.durations import spark_interval
from spark_job.errors import OptionError
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.url import DEFAULT_RETRY_FOR, parse_target
from spark_job.sinks.database.write import TableWriter, write_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from pathlib import Path

    import pyarrow as pa
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
    stored: Callable[[pa.Table], None] | None = None,
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
        stored: called with the rows of each micro-batch that has been stored.

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
    # The query ends when nobody is here any more to close something.
    database = Database(target, keep_connection=False)
    writer = TableWriter(database, table, arrow_schema(result), key, create=create)
    batches = BatchUpsert(writer, replace=replace, stored=stored)
    stream = result.writeStream.outputMode(output_mode).queryName(f"upsert-{table}").foreachBatch(batches)
    if place is not None:
        stream = stream.option("checkpointLocation", place)
    if trigger is not None:
        stream = stream.trigger(processingTime=spark_interval(trigger))
    return stream.start()


class BatchUpsert:
    """The function that Spark calls with each micro-batch, on a thread of its own, one batch at a time.

    Args:
        writer: of the table.
        replace: what is not in a batch is deleted.
        stored: called with the rows of each batch that has been stored.
    """

    def __init__(self, writer: TableWriter, *, replace: bool, stored: Callable[[pa.Table], None] | None = None) -> None:
        self._writer = writer
        self._replace = replace
        self._stored = stored

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store one batch."""
        rows = changed.toArrow()
        self._writer.write(rows, query_id=query_id_of(changed), batch_id=batch_id, replace=self._replace)
        if self._stored is not None:
            self._stored(rows)


def arrow_schema(result: DataFrame) -> pa.Schema:
    """Return the schema that the rows of a result will have."""
    # Not imported with the module, which must not need Spark.
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(result.schema, timezone="UTC")


def query_id_of(batch: DataFrame) -> str:
    """Return the id of the query whose micro-batch this is.

    Raises:
        OptionError: it is no micro-batch.
    """
    query_id = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if query_id is None:
        raise OptionError("this is no micro-batch of a query")
    return str(query_id)
