"""The options of a run, read and checked as a whole before any process starts.

The options of the job are the job's own models (:mod:`spark_job.runner.job_settings`, and one for each job). So a wrong
option is refused here, at once, with the message that the job itself would print.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from headrace.errors import UsageError
from headrace.job_status import URL_COUNTS
from headrace.state_folder import DEFAULT_STATE
from spark_job.errors import SparkJobError
from spark_job.jobs.options import UrlCountsOptions
from spark_job.options.command_line import arguments, read_options
from spark_job.options.model import Flag, OptionModel, choice_of
from spark_job.runner.job_settings import JobOptions, JobSettings
from spark_job.sinks.sink_spec import SinkSpec, parse_sink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUNNING = "Running the pipeline"


class PipelineOptions(OptionModel):
    """The options of the pipeline itself, beside those of its job."""

    state: Annotated[
        Path | None, Flag(panel=RUNNING, shown_default="state, state-JOB; a temporary one with --once")
    ] = Field(None, description="Folder that holds everything of a run.")
    spool: Annotated[Path | None, Flag(panel=RUNNING, shown_default="<state>/spool")] = Field(
        None, description="Folder where files are handed over."
    )
    channel: Annotated[str, choice_of("memory", "file"), Flag(panel=RUNNING)] = Field(
        "memory",
        description="Flume's channel: memory is four times faster, file loses nothing when the agent is killed.",
    )
    out: Annotated[Path | None, Flag(panel=RUNNING)] = Field(None, description="Short for --sink jsonl:PATH.")


@dataclass(frozen=True)
class RunOptions:
    """The options of one run. ``settings`` lack the bridge's address and the job's folder, which the run fills in."""

    job: str
    settings: JobSettings
    own: JobOptions
    pipeline: PipelineOptions

    @property
    def state(self) -> Path:
        """The state folder. Each job has its own, because a bridge here keeps lines for one reader."""
        return self.pipeline.state or default_state(self.job)

    @property
    def channel(self) -> str:
        """Kind of Flume's channel."""
        return self.pipeline.channel

    def job_arguments(self, **filled_in: Any) -> list[str]:
        """Return the arguments of ``python -m spark_job``; ``filled_in`` are settings that only the run knows."""
        settings = self.settings.model_copy(update=filled_in)
        return [self.job, *arguments(settings), *arguments(self.own)]

    def over_files(self, files: Sequence[Path]) -> RunOptions:
        """Return the options of a job without a bridge, with the files that it reads before it ends."""
        return self.with_own(files=tuple(path.absolute() for path in files))

    def with_own(self, **changes: Any) -> RunOptions:
        """Return the options with some of the job's own changed."""
        return replace(self, own=self.own.model_copy(update=changes))

    def with_settings(self, **changes: Any) -> RunOptions:
        """Return the options with some of the job's settings changed."""
        return replace(self, settings=self.settings.model_copy(update=changes))


def default_state(job: str) -> Path:
    """Return the state folder of a job for runs that name none."""
    return DEFAULT_STATE if job == URL_COUNTS else DEFAULT_STATE.with_name(f"{DEFAULT_STATE.name}-{job}")


def read_run_options(
    given: Mapping[str, Any], job: str = URL_COUNTS, own: type[JobOptions] = UrlCountsOptions
) -> RunOptions:
    """Read the options of the command line.

    Raises:
        UsageError: an option cannot be used; the text names it and says what would be right.
    """
    try:
        pipeline = read_options(PipelineOptions, given)
        sinks: Sequence[str | SinkSpec] = given.get("sinks") or ()
        if pipeline.out is not None:
            sinks = [*sinks, parse_sink(f"jsonl:{pipeline.out}")]
        settings = read_options(JobSettings, {**given, "sinks": tuple(sinks) or None}).of_job(job)
        return RunOptions(job, settings, read_options(own, given), pipeline)
    except SparkJobError as error:
        raise UsageError(str(error)) from None


def parse_options(**given: Any) -> RunOptions:
    """Read the options of ``url-counts``, and check them as the job itself will.

    Raises:
        UsageError: as :func:`read_run_options`.
    """
    options = read_run_options(given)
    check_job(options)
    return options


def needs_bridge(job: str) -> bool:
    """Whether a job reads from a bridge. Imports Spark."""
    from spark_job.jobs.catalog import load
    from spark_job.runner.objects.job import SOURCE

    return load(job).source != SOURCE


def check_job(options: RunOptions) -> None:
    """Let the job check its options. Imports Spark.

    Raises:
        UsageError: the job refuses them.
    """
    from spark_job.jobs.catalog import load

    try:
        load(options.job).check(options.settings, options.own)
    except SparkJobError as error:
        raise UsageError(str(error)) from None
