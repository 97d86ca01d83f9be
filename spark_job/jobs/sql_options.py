"""Options of a query. Imports no Spark: a help text shall be quick."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spark_job.options.model import Duration, Flag
from spark_job.runner.job_settings import JobOptions


class SqlOptions(JobOptions):
    """Options of a query."""

    query: Annotated[str, Flag(internal=True)] = Field(description="The query.")
    key: Annotated[str, Flag(shown_default="none")] = Field(
        "", description="Comma list of the columns that tell rows apart: only changed rows are handed on."
    )
    watermark: Annotated[Duration | None, Flag(shown_default="none")] = Field(
        None, description="With --key: windows are forgotten so far behind the newest line."
    )
