"""The options that several commands share, and readers for lengths of time and instants."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.containers.arguments import CONTAINERS, FOLDER
from headrace.errors import UsageError
from spark_job.jobs.options import UrlCountsOptions
from spark_job.options.command_line import default_text
from spark_job.runner.job_settings import JobSettings

if TYPE_CHECKING:
    from datetime import timedelta

StateOption = Annotated[Path, typer.Option("--state", help="Folder that holds everything of a run.")]
SpoolOption = Annotated[
    Path | None,
    typer.Option("--spool", help="Folder where files are handed over.", show_default="<state>/spool"),
]
ContainersOption = Annotated[bool, typer.Option("--containers", help=CONTAINERS.help)]
ContainersFolderOption = Annotated[
    Path, typer.Option("--folder", help=f"With --containers. {FOLDER.help}", show_default=FOLDER.shown)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
WindowOption = Annotated[
    str | None,
    typer.Option(
        "--window", help="Length of a window: 30s, 5m, 1h.", show_default=default_text(UrlCountsOptions, "window")
    ),
]
SlideOption = Annotated[
    str | None, typer.Option("--slide", help="Time between the starts of two windows.", show_default="the window")
]
RemovedWatermarkOption = Annotated[str | None, typer.Option("--watermark", hidden=True, help="Gone.")]
"""Taken to be refused with a sentence: see ``removed`` of the job's options."""
TopOption = Annotated[
    str | None,
    typer.Option(
        "--top",
        help="URLs of a window on the console.",
        metavar="NUMBER",
        show_default=default_text(JobSettings, "top"),
    ),
]


def read_length(name: str, text: str) -> timedelta:
    """Read a length of time above zero.

    Raises:
        UsageError: it is none; the text names the option.
    """
    from headrace.common.durations import parse_length

    try:
        return parse_length(text)
    except ValueError as error:
        raise UsageError(f"{name} {text}: {error}") from None


def read_time(name: str, text: str) -> datetime:
    """Read an instant; without a zone it is in UTC.

    Raises:
        UsageError: it is none; the text names the option.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name} {text}: write it like 2015-01-05T08:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
