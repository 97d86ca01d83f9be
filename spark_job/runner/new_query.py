"""Starts a query that begins where the results end: for jobs whose results table is the only state.

Spark gets the lines of a micro-batch and keeps nothing; its checkpoint only numbers the micro-batches of one run. So
every start makes a new query with an empty checkpoint, which begins at the offsets that the table has reached, and
nothing that a kill or a power cut may leave behind can differ from the table.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.errors import PySparkException

from headrace.common.durations import spark_interval
from spark_job.runner.bridge_positions import commit_positions, starting_offsets
from spark_job.runner.spark_errors import cause_of
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobSettings
    from spark_job.source.options import FlumeOptions


class Positions(Protocol):
    """Results that know up to which offsets they hold each log."""

    def positions(self) -> dict[str, int]:
        """Return log id to offset."""

    def skip_lost(self, starts: Mapping[str, int]) -> None:
        """Count the events as lost that no query will read."""


def starts_of(flume: FlumeOptions, settings: JobSettings, table: Positions) -> dict[str, int]:
    """Return, by log id, the offset where the new query starts, and tell the bridges what is stored.

    Args:
        flume: the options of the bridges.
        settings: of the job; if they allow data loss, events that are gone are counted as lost.
        table: the results.

    Raises:
        BridgeUnavailable: a bridge does not answer.
        DataLoss: events are gone that the table does not have.
    """
    positions = table.positions()
    with closing(Bridges(flume)) as bridges:
        starts = starting_offsets(
            bridges, settings.consumer, positions, settings.start, allow_loss=settings.allow_data_loss
        )
        # A kill between the table's transaction and the commit left the bridges behind.
        commit_positions(bridges, settings.consumer, positions)
    table.skip_lost(starts)
    return starts


def options_from(given: Mapping[str, str], starts: Mapping[str, int]) -> dict[str, str]:
    """Return the options of a source that starts at ``starts`` and leaves the commits to the job."""
    return {**given, "startingOffsets": json.dumps(dict(starts)), "commitOffsets": "false"}


def start_new_query(
    name: str, lines: DataFrame, settings: JobSettings, folder: JobFolder, writer: Callable[[DataFrame, int], Any]
) -> StreamingQuery:
    """Start a new query; each micro-batch hands its lines to ``writer``.

    Raises:
        JobFolderError: the checkpoint of the query before it cannot be deleted.
        SparkJobError: the query does not start.
    """
    folder.checkpoint.delete()
    try:
        return (
            lines.writeStream.queryName(name)
            .option("checkpointLocation", str(folder.checkpoint.folder))
            .trigger(processingTime=spark_interval(settings.trigger))
            .foreachBatch(writer)
            .start()
        )
    except PySparkException as error:
        raise cause_of(error) from error
