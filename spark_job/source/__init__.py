"""The Spark sources ``flume``, ``access_log`` and ``json_events``, for batch and stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def register(spark: SparkSession) -> None:
    """Register the sources with a Spark session, as ``format("flume")``, ``"access_log"`` and ``"json_events"``."""
    # Imported here: commands that must not wait for Spark's import read other modules of this folder.
    from spark_job.source import flume

    flume.register(spark)
