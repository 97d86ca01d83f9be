"""A job written in both streaming APIs; the option ``--api`` chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.runner.dstreams.options import BatchOptions
    from spark_job.runner.job_settings import JobSettings
    from spark_job.runner.structured.job import StructuredJob


BATCHES_ONLY = {
    "batch_interval": "Structured Streaming has --trigger",
    "rate": "Structured Streaming has --max-events, for each micro-batch",
}


@dataclass(frozen=True)
class EitherApi:
    """Two jobs that answer one question. They share name, options and source; the options have a field ``api``.

    Attributes:
        dstream: the job in the classic API.
        structured: the job in Structured Streaming.
        dstream_only: options that only the classic one has, each with the reason.
    """

    dstream: DStreamJob
    structured: StructuredJob
    dstream_only: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name on the command line: ``headrace job NAME``."""
        return self.dstream.name

    @property
    def source(self) -> str:
        """What it reads."""
        return self.structured.source

    @property
    def options(self) -> type[BatchOptions]:
        """The model of the job's own options."""
        return self.dstream.options

    def check(self, settings: JobSettings, options: BatchOptions) -> None:
        """Refuse what the chosen job would refuse, and options of the other one.

        Raises:
            OptionError: the text names the option.
        """
        chosen = self.resolved(options)
        if chosen is self.structured:
            for name, reason in {**BATCHES_ONLY, **self.dstream_only}.items():
                if getattr(options, name) != type(options).model_fields[name].default:
                    raise OptionError(f"--{name.replace('_', '-')} is for --api dstream: {reason}")
        chosen.check(settings, options)

    def resolved(self, options: BatchOptions) -> DStreamJob | StructuredJob:
        """Return the job in the API that ``--api`` chooses."""
        return self.dstream if getattr(options, "api", "") == "dstream" else self.structured
