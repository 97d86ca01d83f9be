"""The job ``sessions``: finds the visits to a web site.

A visit is the sequence of requests of one visitor (host and user agent) without a pause longer than the gap. Spark
calls that a session window: its length is known only when it ends. So results come in append mode, each once, when the
watermark has passed the last request by the gap. Until then, a request inside a pause joins two sessions.

A request that arrives too late to start a session is counted as late.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from headrace.common.durations import spark_interval
from spark_job.accounting.lateness import SessionLateness
from spark_job.jobs.visitors import agent, in_order, is_declared_bot, is_page
from spark_job.options.model import Duration, Length
from spark_job.runner.job_settings import JobOptions
from spark_job.runner.structured.job import StructuredJob

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SessionsOptions(JobOptions):
    """Options of the job."""

    gap: Length = Field(timedelta(minutes=30), description="A longer pause ends the session.")
    watermark: Duration = Field(
        timedelta(minutes=10), description="How far behind the newest line a line may be and still count."
    )


def sessions(lines: DataFrame, options: SessionsOptions) -> DataFrame:
    """Return one row per session: visitor, times, numbers, entry page and exit page."""
    page = F.when(is_page(), in_order())
    return (
        lines.withColumn("agent", agent())
        .withWatermark("time", spark_interval(options.watermark))
        .groupBy(F.session_window("time", spark_interval(options.gap)).alias("session"), "host", "agent")
        .agg(
            F.max("time").alias("session_end"),
            F.count("*").alias("requests"),
            F.count(page).alias("pages"),
            F.sum("bytes").alias("bytes"),
            F.min_by("url", page).alias("entry_page"),
            F.max_by("url", page).alias("exit_page"),
        )
        .select(
            F.col("session.start").alias("session_start"),
            "session_end",
            "host",
            "agent",
            "requests",
            "pages",
            "bytes",
            "entry_page",
            "exit_page",
            ((F.unix_millis("session_end") - F.unix_millis("session.start")) / 1000).alias("duration_s"),
            is_declared_bot().alias("bot"),
        )
    )


JOB = StructuredJob(
    name="sessions",
    options=SessionsOptions,
    rows=sessions,
    key=("session_start", "host", "agent"),
    counted="requests",
    lateness=lambda options: SessionLateness(options.gap),
    output_mode="append",
)
