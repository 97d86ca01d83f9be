"""A job that is written in both streaming APIs: the option ``--api`` picks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from spark_job.accounting.tally import Tally
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
    """One job, twice. Both have the same name, options and source; the options have a field ``api``.

    Attributes:
        dstream: the job in the classic API.
        structured: the job in Structured Streaming.
        dstream_only: options that the latter does not have, each with the reason.
    """

    dstream: DStreamJob
    structured: StructuredJob
    dstream_only: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As in ``headrace job NAME``."""
        return self.dstream.name

    @property
    def source(self) -> str:
        """What it reads."""
        return self.structured.source

    @property
    def options(self) -> type[BatchOptions]:
        """The model of its own options."""
        return self.dstream.options

    def check(self, settings: JobSettings, options: BatchOptions) -> None:
        """Refuse what the chosen one would refuse.

        Raises:
            OptionError: the text names the option.
        """
        chosen = self._chosen(options)
        if chosen is self.structured:
            for name, reason in {**BATCHES_ONLY, **self.dstream_only}.items():
                if getattr(options, name) != type(options).model_fields[name].default:
                    raise OptionError(f"--{name.replace('_', '-')} is for --api dstream: {reason}")
        chosen.check(settings, options)

    def run(self, settings: JobSettings, options: BatchOptions, stop: Event) -> Tally:
        """Run the chosen one.

        Raises:
            SparkJobError: as :meth:`.DStreamJob.run` and :meth:`.StructuredJob.run`.
        """
        return self._chosen(options).run(settings, options, stop)

    def _chosen(self, options: BatchOptions) -> DStreamJob | StructuredJob:
        return self.dstream if getattr(options, "api", "") == "dstream" else self.structured
