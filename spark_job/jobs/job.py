"""What the command line and the pipeline know of a job, whichever API it is written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from spark_job.runner.job_settings import JobOptions, JobSettings
from spark_job.runner.structured.job import StructuredJob

if TYPE_CHECKING:
    from threading import Event

__all__ = ["Job", "JobOptions", "JobSettings", "Outcome", "StructuredJob"]


class Outcome(Protocol):
    """What a job says in the end: the sum of what it read, as one sentence."""

    @property
    def balanced(self) -> bool:
        """Whether each event that was read is accounted for, once."""

    def __str__(self) -> str:
        """Return the sum."""


class Job(Protocol):
    """A job: a name, options of its own, and how it runs."""

    @property
    def name(self) -> str:
        """As in ``headrace job NAME``."""

    @property
    def source(self) -> str:
        """What it reads: ``access_log``, ``json_events``, ``flume``, or the name of a source without a bridge."""

    @property
    def options(self) -> type[JobOptions]:
        """The model of its own options."""

    def check(self, settings: JobSettings, options: Any) -> None:
        """Refuse, before Java is started, what cannot be used together.

        Raises:
            OptionError: the text names the option.
        """

    def run(self, settings: JobSettings, options: Any, stop: Event) -> Outcome:
        """Run until a stop is asked for, or until all that ``settings.drain_to_file`` names is done.

        Raises:
            OptionError: a setting cannot be used.
            JobFolderError: the job folder does not belong to these settings.
            SparkJobError: any other class of it: why the job died.
        """
