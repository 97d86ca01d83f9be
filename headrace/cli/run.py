"""The commands on a run of this machine: show it with a sample, feed it, look at it, stop it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import Annotated

import typer

from headrace.cli import parameters as given
from headrace.containers.places import DEFAULT_FOLDER
from headrace.state_folder import DEFAULT_STATE


def demo(
    state: given.StateOption = DEFAULT_STATE,
    lines: Annotated[int, typer.Option("--lines", min=1, help="Number of lines of the sample.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sample: the same seed gives the same bytes.")] = 1,
    window: given.WindowOption = None,
    slide: given.SlideOption = None,
    top: given.TopOption = None,
    watermark: given.RemovedWatermarkOption = None,
) -> None:
    """Run the whole pipeline with a sample access log, which each state folder gets once.

    Example: `headrace demo`, then in another terminal `headrace drop access.log`
    """
    from headrace.local import run as run_command
    from headrace.local.run_options import parse_options
    from headrace.sample import SampleSettings

    options = parse_options(window=window, slide=slide, watermark=watermark, top=top)
    run_command.run_demo(options, state, SampleSettings(lines=lines, seed=seed, malformed=min(lines, 12)))


def drop(
    files: Annotated[list[Path], typer.Argument(help="Log files; .gz and .zst are unpacked.", metavar="FILE")],
    state: given.StateOption = DEFAULT_STATE,
    spool: given.SpoolOption = None,
    containers: given.ContainersOption = False,
    folder: given.ContainersFolderOption = DEFAULT_FOLDER,
) -> None:
    """Hand log files over to the agent: each is copied whole, then renamed to a name that was never used before.

    Example: `headrace drop access.log access.log.1.gz`
    """
    from headrace.cli.containers import run
    from headrace.cli.output import drop_with_progress
    from headrace.messages import say
    from headrace.state_folder import StateFolder

    if containers:
        run("drop", files=files, folder=folder)
    target = StateFolder(state, spool)
    drop_with_progress(files, target.spool)
    # Who reads a folder that was named by itself is not known here.
    if spool is None and not target.is_locked():
        say(f"no run holds {state} now: the next start in that folder counts what waits")


def status(
    state: given.StateOption = DEFAULT_STATE,
    as_json: given.JsonOption = False,
    containers: given.ContainersOption = False,
    folder: given.ContainersFolderOption = DEFAULT_FOLDER,
) -> None:
    """Show every stage with its counters, lag and age of its numbers, and whether the sums hold.

    Ends with 1 when a stage is down or a sum does not hold.

    Example: `headrace status --json`
    """
    from headrace.cli.containers import run
    from headrace.cli.output import show_status
    from headrace.state_folder import StateFolder

    if containers:
        run("status", json=as_json, folder=folder)
    raise typer.Exit(show_status(StateFolder(state), as_json=as_json))


def top(
    state: given.StateOption = DEFAULT_STATE,
    last: Annotated[
        str | None, typer.Option("--last", help="Length of time to add up: 15m, 1h, 1d.", show_default="one window")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="A time in the last window to show, ISO 8601.", show_default="the newest counts"),
    ] = None,
    limit: Annotated[int, typer.Option("--top", "-n", min=1, help="Number of URLs.")] = 10,
    database: Annotated[
        str | None,
        typer.Option("--from", help="Database to read instead: the URL that was given to --sink.", metavar="URL"),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="File whose first line is that database's password.")
    ] = None,
    as_json: given.JsonOption = False,
) -> None:
    """Show the most requested URLs, with hits, share, errors, and how their ranks have changed.

    The earlier ranks are those of the same length of time just before. Time is the time of the counts: `--last 15m`
    ends with the newest window that has begun, whether that is of today or of 2015.

    Example: `headrace top --last 15m`

    Example: `headrace top --at 2015-05-18T10:05:00Z --from postgresql://counter@db/counts --json`
    """
    from headrace.cli.top import find_ranking, show_ranking
    from headrace.state_folder import StateFolder

    ranking = find_ranking(
        StateFolder(state).job / "counts.db",
        database,
        password_file,
        limit=limit,
        last=None if last is None else given.read_length("--last", last),
        at=None if at is None else given.read_time("--at", at),
    )
    show_ranking(ranking, as_json=as_json)


def stop(
    state: given.StateOption = DEFAULT_STATE,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the end.")] = 120.0,
) -> None:
    """Stop a run that goes on in another terminal, in the order of the data.

    Example: `headrace stop`
    """
    from headrace.local.run import stop_run
    from headrace.state_folder import StateFolder

    stop_run(StateFolder(state), timeout)
