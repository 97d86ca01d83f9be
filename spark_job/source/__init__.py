"""The Spark sources ``flume``, ``access_log`` and ``json_events``: lines of bridges, for batch and stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def register(spark: SparkSession) -> None:
    """Make the sources known to a Spark session, under ``format("flume")``, ``"access_log"`` and ``"json_events"``."""
    # Imported here because modules of this folder are read by commands that must not wait for Spark's import.
    from spark_job.source import flume

    flume.register(spark)
