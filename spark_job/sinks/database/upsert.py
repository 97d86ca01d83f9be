"""``upsert``: one call that keeps a table equal to the result of a query, over a stream or a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.common.durations import spark_interval
from spark_job.errors import OptionError
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.url import DEFAULT_RETRY_FOR, parse_database_url
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
    adopt: bool = False,
    retry_for: timedelta = DEFAULT_RETRY_FOR,
    password_file: Path | None = None,
    checkpoint: Path | str | None = None,
    trigger: timedelta | None = None,
    stored: Callable[[pa.Table], None] | None = None,
) -> StreamingQuery | int:
    """Keep a table equal to a result: each row replaces the one with the same key.

    The rows of a micro-batch pass through the driver and into the table in one transaction, with its number, so a
    micro-batch that Spark runs again after a restart changes nothing. A table belongs to the query that writes it first
    (:mod:`spark_job.sinks.database.ownership`). Use ``format("upsert")`` for results that are too
    large for the driver.

    Args:
        result: a streaming DataFrame, or one of a batch.
        url: the database; see :mod:`spark_job.sinks.database.url`.
        table: name of the table.
        key: columns that tell the rows of the result apart. A struct, such as ``window``, stands for all its fields.
        output_mode: ``update`` (rows that changed), ``append`` (rows that will not change any more) or ``complete``
            (all rows; rows that are not in the result are deleted).
        create: whether to create a missing table.
        adopt: whether to take the table over from the query that owns it, which is refused from then on. Its rows stay
            until this result has rows with the same key.
        retry_for: how long to retry while the database is away.
        password_file: file whose first line is the password.
        checkpoint: folder of the query's checkpoint; None: below ``spark.sql.streaming.checkpointLocation``.
        trigger: shortest time between two micro-batches; None: as soon as data arrives.
        stored: called with the rows of each stored micro-batch.

    Returns:
        The running query; for a batch the number of rows written.

    Raises:
        OptionError: an argument cannot be used, the table does not fit, or, for a batch, it belongs to a query. A
            streaming query has an id only once it runs, so it ends with this error at its first micro-batch.
        SinkError: the database is away for too long, or refuses.
    """
    target = parse_database_url(url, password_file, retry_for)
    if output_mode not in OUTPUT_MODES:
        raise OptionError(f"output mode {output_mode!r}: use one of {', '.join(OUTPUT_MODES)}")
    replace = output_mode == "complete"
    if not result.isStreaming:
        return write_batch(target, table, key, result, query_id=None, create=create, replace=replace, adopt=adopt)
    place = str(checkpoint) if checkpoint is not None else None
    if place is None and result.sparkSession.conf.get(CHECKPOINTS, None) is None:
        raise OptionError(
            f"no checkpoint: pass checkpoint=FOLDER, or set {CHECKPOINTS}; without one, a restarted query does not "
            "know which micro-batches the table holds"
        )
    # The query outlives this call, so nobody could close a connection that stays open.
    database = Database(target, keep_connection=False)
    writer = TableWriter(database, table, arrow_schema(result), key, create=create, adopt=adopt)
    batches = BatchUpsert(writer, replace=replace, stored=stored)
    stream = result.writeStream.outputMode(output_mode).queryName(f"upsert-{table}").foreachBatch(batches)
    if place is not None:
        stream = stream.option("checkpointLocation", place)
    if trigger is not None:
        stream = stream.trigger(processingTime=spark_interval(trigger))
    return stream.start()


class BatchUpsert:
    """The function that Spark calls with each micro-batch, on its callback thread, one batch at a time.

    Args:
        writer: writes the table.
        replace: whether to delete rows that are not in the batch.
        stored: called with the rows of each stored batch.
    """

    def __init__(self, writer: TableWriter, *, replace: bool, stored: Callable[[pa.Table], None] | None = None) -> None:
        self._writer = writer
        self._replace = replace
        self._stored = stored

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store one micro-batch."""
        rows = changed.toArrow()
        self._writer.write(rows, query_id=query_id_of(changed), batch_id=batch_id, replace=self._replace)
        if self._stored is not None:
            self._stored(rows)


def arrow_schema(result: DataFrame) -> pa.Schema:
    """Return the schema that the rows of a result will have."""
    # Imported here: the module must not need Spark.
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(result.schema, timezone="UTC")


def query_id_of(batch: DataFrame) -> str:
    """Return the id of the query of a micro-batch.

    Raises:
        OptionError: the DataFrame is not a micro-batch.
    """
    query_id = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if query_id is None:
        raise OptionError("this DataFrame is not a micro-batch of a query; use it in foreachBatch")
    return str(query_id)
