"""The interface of every kind of job, for the command line and the runner.

A job says what is computed. It never runs itself: :mod:`spark_job.runner.run` does that, with one function for each
kind of job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from spark_job.runner.job_settings import JobOptions, JobSettings


class Outcome(Protocol):
    """What a job reports when it ends: the terms of its sum, and the sum as one sentence."""

    @property
    def balanced(self) -> bool:
        """Whether each event that was read is accounted for exactly once."""

    def __str__(self) -> str:
        """Return the sum as a sentence."""


class Job(Protocol):
    """A job: its name, its own options, and what it computes."""

    @property
    def name(self) -> str:
        """The name on the command line: ``headrace job NAME``."""

    @property
    def source(self) -> str:
        """What it reads: ``access_log``, ``json_events``, ``flume``, or the name of a source without a bridge."""

    @property
    def options(self) -> type[JobOptions]:
        """The model of the job's own options."""

    def check(self, settings: JobSettings, options: Any) -> None:
        """Refuse, before Java starts, what cannot be used together.

        Raises:
            OptionError: the text names the option.
        """

    def resolved(self, options: Any) -> Job:
        """Return the job that computes the result for these options: itself, or one of several that it offers."""


def table_name(job_name: str) -> str:
    """Return the name of a job's results table."""
    return job_name.replace("-", "_")
