"""The job ``actions``: how often each action happened in each hour, from JSON objects in a bucket into a database.

It needs no bridge: objects that are put into the bucket while it runs are found there. The whole of it is the function
:func:`actions` and one call for the table::

    events = spark.readStream.schema(...).json("s3a://bucket/events")
    upsert(actions(events), "postgresql://counter@db/counts", "actions", key=["action", "window"])

:mod:`spark_job.runner.object_store_job` has what stands around that: what is no event goes, with the name of its
object, into the table ``actions_malformed``.

There is no watermark, so an object may come as late as it likes. What Spark keeps grows with the number of different
actions and hours, not with that of events. Objects are read once: one that is overwritten or deleted later changes
nothing. Each look at the bucket costs two LIST requests, so with Amazon's prices take ``--trigger 1m``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field
from pyspark.sql import functions as f

from headrace.common.durations import spark_interval
from spark_job.options.model import Length
from spark_job.runner.object_store_job import ObjectsJob, ObjectsOptions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class ActionsOptions(ObjectsOptions):
    """The job's options."""

    window: Length = Field(timedelta(hours=1), description="Length of a window.")


def actions(events: DataFrame, options: ActionsOptions) -> DataFrame:
    """Count events by action and window."""
    return events.groupBy("action", f.window("time", spark_interval(options.window))).count()


JOB = ObjectsJob(
    name="actions",
    options=ActionsOptions,
    rows=actions,
    fields={"action": "string", "time": "timestamp"},
    key=("action", "window"),
)
