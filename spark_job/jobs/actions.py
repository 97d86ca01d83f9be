"""The job ``actions``: counts actions per hour, from JSON objects in a bucket, into a table of a database.

It needs no bridge: it finds new objects in the bucket while it runs. The whole job is the function :func:`actions` and
one call for the table::

    events = spark.readStream.schema(...).json("s3a://bucket/events")
    upsert(actions(events), "postgresql://counter@db/counts", "actions", key=["action", "window"])

:mod:`spark_job.runner.objects.run` runs it. Malformed records go into the table ``actions_malformed``, with the
name of their object.

There is no watermark, so an object is never too late. Spark's state grows with the number of different actions and
hours, not with the number of events. Each object is read once: overwriting or deleting it later changes nothing. Each
listing of the bucket costs two LIST requests, so with Amazon's prices use ``--trigger 1m``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from headrace.common.durations import spark_interval
from spark_job.options.model import Length
from spark_job.runner.objects.job import ObjectsJob, ObjectsOptions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class ActionsOptions(ObjectsOptions):
    """The job's options."""

    window: Length = Field(timedelta(hours=1), description="Length of a window.")


def actions(events: DataFrame, options: ActionsOptions) -> DataFrame:
    """Count events by action and window."""
    return events.groupBy("action", F.window("time", spark_interval(options.window))).count()


JOB = ObjectsJob(
    name="actions",
    options=ActionsOptions,
    rows=actions,
    fields={"action": "string", "time": "timestamp"},
    key=("action", "window"),
)
