"""The commands that run a job through the whole pipeline. Their options are made from the models of the job."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace import options as reading
from headrace.errors import OptionError
from headrace.state import DEFAULT_STATE
from spark_job import command_line
from spark_job.execution.settings import READING_FIELDS, RUNNING, JobSettings
from spark_job.execution.window_options import UrlCountsOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spark_job.execution.settings import JobOptions

OWN_OPTIONS = "What is computed"

RUN_HELP = """Run agent, bridge and the job url-counts until Ctrl-C, going on where the last run stopped.

With `--once FILE...` send these files through the whole pipeline, print the sum of the lines, and end.

Example: `headrace run --window 1m --sink console --sink jsonl:counts.jsonl`

Example: `headrace run --once access.log.gz --window 1h --out counts.jsonl`
"""


def pipeline_parameters(own: type[JobOptions], *, reads_lines: bool) -> list[inspect.Parameter]:
    """Return the parameters of a command that runs a job: files, the pipeline's, the job's own, the shared ones."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    files = typer.Argument(help="With --once: the files to read, .gz and .zst too.", metavar="FILE")
    once = typer.Option(
        "--once", help="Take these files, in a fresh state folder, then end.", rich_help_panel=reading.RUNNING
    )
    return [
        inspect.Parameter("files", keyword, default=None, annotation=Annotated[list[Path] | None, files]),
        inspect.Parameter("once", keyword, default=False, annotation=Annotated[bool, once]),
        *command_line.parameters(own, OWN_OPTIONS, internal=False),
        *command_line.parameters(JobSettings, RUNNING, skip=() if reads_lines else READING_FIELDS, internal=False),
        *command_line.parameters(reading.PipelineOptions, reading.RUNNING, internal=False),
    ]


def run_command() -> Callable[..., None]:
    """Return the command ``run``."""

    def body(**given: Any) -> None:
        run_job(given, reading.URL_COUNTS, UrlCountsOptions)

    return command_line.with_signature(body, pipeline_parameters(UrlCountsOptions, reads_lines=True), RUN_HELP)


def run_job(given: Mapping[str, Any], job: str, own: type[JobOptions]) -> None:
    """Run a job with what was given on the command line: until it is stopped, or over files.

    Raises:
        HeadraceError: an option cannot be used, or the run failed.
    """
    from headrace import once as once_command
    from headrace import run as run_command
    from headrace.console import once_progress

    files, once = given["files"], given["once"]
    _check_files(files, once=once, spool=given["spool"])
    options = reading.read_run_options(given, job, own)
    reading.check_job(options)
    if once:
        once_command.run_once(files or [], options, options.pipeline.state, once_progress)
    else:
        run_command.run_until_stopped(options, options.pipeline.state or DEFAULT_STATE, options.pipeline.spool)


def _check_files(files: list[Path] | None, *, once: bool, spool: Path | None) -> None:
    if once and not files:
        raise OptionError("--once needs files to read: headrace run --once access.log")
    if files and not once:
        raise OptionError(f"{files[0]}: to read files and end, write --once; to hand them to a run, headrace drop")
    if once and spool is not None:
        raise OptionError("--spool cannot be used with --once, which makes a fresh folder")
