"""The commands that run the pipeline, feed it, look at it and stop it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import Annotated

import typer

from headrace import options as defaults
from headrace import parameters as given
from headrace.errors import OptionError
from headrace.state import DEFAULT_STATE


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="With --once: the files to count, .gz and .zst too.", metavar="FILE"),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Count these files in a fresh state folder, then end.", rich_help_panel=given.RUNNING
        ),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            help="Folder that holds everything of a run.",
            show_default="state; a temporary one with --once",
            rich_help_panel=given.RUNNING,
        ),
    ] = None,
    spool: given.SpoolOption = None,
    channel: given.ChannelOption = defaults.DEFAULT_CHANNEL,
    window: given.WindowOption = defaults.DEFAULT_WINDOW,
    slide: given.SlideOption = None,
    watermark: given.WatermarkOption = defaults.DEFAULT_WATERMARK,
    time: given.TimeOption = "event",
    top: given.TopOption = defaults.DEFAULT_TOP,
    trigger: given.TriggerOption = defaults.DEFAULT_TRIGGER,
    max_events: given.MaxEventsOption = None,
    sink: given.SinkOption = None,
    out: given.OutOption = None,
    log_format: given.FormatOption = "combined",
    url: given.UrlOption = "path",
    timezone: given.TimezoneOption = "UTC",
) -> None:
    """Run agent, bridge and Spark job until Ctrl-C, going on where the last run stopped.

    With `--once FILE...` send these files through the whole pipeline, print the sum of the lines, and end.

    Example: `headrace run --window 1m --sink console --sink jsonl:counts.jsonl`

    Example: `headrace run --once access.log.gz --window 1h --out counts.jsonl`
    """
    from headrace import once as once_command
    from headrace import run as run_command
    from headrace.console import once_progress

    _check_files(files, once=once, spool=spool)
    options = defaults.parse_options(
        window=window,
        slide=slide,
        watermark=watermark,
        time=time,
        top=top,
        trigger=trigger,
        max_events=max_events,
        sinks=sink or (),
        out=out,
        log_format=log_format,
        url=url,
        timezone=timezone,
        channel=channel,
    )
    if once:
        once_command.run_once(files or [], options, state, once_progress)
    else:
        run_command.run_until_stopped(options, state or DEFAULT_STATE, spool)


def _check_files(files: list[Path] | None, *, once: bool, spool: Path | None) -> None:
    if once and not files:
        raise OptionError("--once needs files to count: headrace run --once access.log")
    if files and not once:
        raise OptionError(f"{files[0]}: to count files and end, write --once; to hand them to a run, headrace drop")
    if once and spool is not None:
        raise OptionError("--spool cannot be used with --once, which makes a fresh folder")


def demo(
    state: given.StateOption = DEFAULT_STATE,
    lines: Annotated[int, typer.Option("--lines", min=1, help="Lines of the sample.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Another seed makes another sample.")] = 1,
    window: given.WindowOption = defaults.DEFAULT_WINDOW,
    slide: given.SlideOption = None,
    watermark: given.WatermarkOption = defaults.DEFAULT_WATERMARK,
    top: given.TopOption = defaults.DEFAULT_TOP,
) -> None:
    """Run the whole pipeline and hand it a sample access log, once for each state folder.

    Example: `headrace demo`, then in another terminal `headrace drop access.log`
    """
    from headrace import run as run_command
    from headrace.sample import SampleSettings

    options = defaults.parse_options(window=window, slide=slide, watermark=watermark, top=top)
    run_command.run_demo(options, state, SampleSettings(lines=lines, seed=seed, malformed=min(lines, 12)))


def drop(
    files: Annotated[list[Path], typer.Argument(help="Log files; .gz and .zst are unpacked.", metavar="FILE")],
    state: given.StateOption = DEFAULT_STATE,
    spool: given.SpoolOption = None,
) -> None:
    """Hand log files over to the agent, safely: copied whole, then renamed to a name never used before.

    Example: `headrace drop access.log access.log.1.gz`
    """
    from headrace.console import drop_with_progress
    from headrace.state import StateFolder

    drop_with_progress(files, StateFolder(state, spool).spool)


def status(state: given.StateOption = DEFAULT_STATE, as_json: given.JsonOption = False) -> None:
    """Show every stage with its counters, lag and freshness, and whether the sums hold.

    Ends with 1 when a stage is down or a sum is broken.

    Example: `headrace status --json`
    """
    from headrace.console import show_status
    from headrace.state import StateFolder

    raise typer.Exit(show_status(StateFolder(state), as_json=as_json))


def stop(
    state: given.StateOption = DEFAULT_STATE,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the end.")] = 120.0,
) -> None:
    """Stop a run that goes on elsewhere, in the order of the data.

    Example: `headrace stop`
    """
    from headrace.run import stop_run
    from headrace.state import StateFolder

    stop_run(StateFolder(state), timeout)
