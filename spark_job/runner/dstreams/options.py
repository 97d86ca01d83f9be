"""Options of jobs over DStreams. Imports no Spark, which keeps ``--help`` fast."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from spark_job.options.model import Flag, Length
from spark_job.runner.dstreams.intervals import Intervals
from spark_job.runner.job_settings import JobOptions

STORING = "What is kept"


class BatchOptions(JobOptions):
    """Options of every DStream job."""

    batch_interval: Length = Field(timedelta(seconds=1), description="Time between two batches.")
    rate: int = Field(0, ge=0, description="Events a second at most, over all bridges; 0: no limit.")

    @property
    def intervals(self) -> Intervals:
        """Batch interval, window and slide; a job without a window has one batch of each."""
        return Intervals(self.batch_interval, self.batch_interval, self.batch_interval)

    def most_events(self, max_events: int) -> int:
        """Return how many events a batch may hold: at least one, since with none the job would never read."""
        by_rate = int(self.rate * self.batch_interval.total_seconds())
        return min(max_events, max(by_rate, 1)) if self.rate else max_events


class SlidingOptions(BatchOptions):
    """Options of a job with a sliding window.

    Raises:
        OptionError: the lengths do not fit together.
    """

    window: Length = Field(timedelta(minutes=5), description="Length of the window: a whole number of batches.")
    slide: Annotated[Length | None, Flag(shown_default="the batch interval")] = Field(
        None, description="Time between two results: a whole number of batches."
    )
    keep: Annotated[Length, Flag(panel=STORING)] = Field(
        timedelta(minutes=5), description="How long results stay in the table."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _ = self.intervals
        return self

    @property
    def intervals(self) -> Intervals:
        """The three lengths as one value, with their arithmetic."""
        return Intervals(self.batch_interval, self.window, self.slide or self.batch_interval)
