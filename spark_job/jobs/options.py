"""Options of the jobs that count in windows, and of SQL queries. Imports no Spark, which keeps ``--help`` fast."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from spark_job.options.model import Duration, Flag, Length
from spark_job.runner.job_settings import JobOptions

if TYPE_CHECKING:
    from spark_job.sinks.counts_table.retention import Retention
    from spark_job.windows import Windows

STORING = "What is kept"


class WindowOptions(JobOptions):
    """Window and slide.

    Raises:
        OptionError: they do not fit together.
    """

    window: Length = Field(timedelta(minutes=5), description="Length of a window: 30s, 5m, 1h.")
    slide: Annotated[Length | None, Flag(shown_default="the window")] = Field(
        None, description="Time between the starts of two windows; the window is a whole multiple of it."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _ = self.windows
        return self

    @property
    def windows(self) -> Windows:
        """The lengths as one value, with their arithmetic."""
        from spark_job.windows import Windows

        return Windows(self.window, self.slide or self.window)


class UrlCountsOptions(WindowOptions):
    """Options of the job ``url-counts``."""

    removed: ClassVar = {
        "watermark": "URL counts have no watermark any more, every line counts however old it is; leave the option "
        "out. To close old windows, see --keep and --max-rows"
    }

    keep: Annotated[Length | None, Flag(panel=STORING, shown_default="for ever")] = Field(
        None, description="How long windows stay in the table, counted from now; older lines do not count."
    )
    max_rows: Annotated[int, Flag(panel=STORING)] = Field(
        5_000_000,
        ge=0,
        description="Rows of the table at most: above it the oldest windows go between two micro-batches; 0: no limit.",
    )

    @property
    def retention(self) -> Retention:
        """Which windows leave the table."""
        from spark_job.sinks.counts_table.retention import Retention

        return Retention(self.keep, self.max_rows or None)


class SqlOptions(JobOptions):
    """Options of the job ``sql``: a query and how its results are keyed."""

    query: Annotated[str, Flag(internal=True)] = Field(description="The query.")
    key: Annotated[str, Flag(shown_default="none")] = Field(
        "", description="Comma list of the columns that tell rows apart: only changed rows are handed on."
    )
    watermark: Annotated[Duration | None, Flag(shown_default="none")] = Field(
        None, description="With --key: windows are forgotten so far behind the newest line."
    )
