"""The command line. Each command reads and checks its arguments here and leaves the work to a module of its own.

Data goes to standard output, what is told about it to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or
configuration, 130 interrupted. Heavy packages are imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from headrace import options as defaults
from headrace.errors import HeadraceError, OptionError
from headrace.state import DEFAULT_STATE

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Take access logs from Apache Flume into Apache Spark and count URLs in windows.",
)
log_app = typer.Typer(no_args_is_help=True, help="Read a bridge's log offline.")
app.add_typer(log_app, name="log")

RUNNING = "Running the pipeline"
COUNTING = "What is counted"
READING = "How lines are read"

StateOption = Annotated[Path, typer.Option("--state", help="Folder that holds everything of a run.")]
SpoolOption = Annotated[
    Path | None,
    typer.Option("--spool", help="Folder where files are handed over.", show_default="<state>/spool"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
WindowOption = Annotated[
    str, typer.Option("--window", help="Length of a window: 30s, 5m, 1h.", rich_help_panel=COUNTING)
]
SlideOption = Annotated[
    str | None,
    typer.Option(
        "--slide",
        help="Time between the starts of two windows; the window is a whole multiple of it.",
        show_default="the window",
        rich_help_panel=COUNTING,
    ),
]
WatermarkOption = Annotated[
    str,
    typer.Option(
        "--watermark", help="How far behind the newest line a line may be and still count.", rich_help_panel=COUNTING
    ),
]
TimeOption = Annotated[
    str, typer.Option("--time", help="event (in the line) or arrival (at the bridge).", rich_help_panel=COUNTING)
]
TopOption = Annotated[int, typer.Option("--top", help="URLs of a window on the console.", rich_help_panel=COUNTING)]
TriggerOption = Annotated[
    str, typer.Option("--trigger", help="Time between two micro-batches; 0s: at once.", rich_help_panel=COUNTING)
]
MaxEventsOption = Annotated[
    int | None,
    typer.Option(
        "--max-events", help="Lines of one micro-batch at most.", show_default="no limit", rich_help_panel=COUNTING
    ),
]
SinkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        help="Where counts go: console, jsonl:PATH or parquet:PATH. Repeat it for several.",
        show_default="console",
        rich_help_panel=COUNTING,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Short for --sink jsonl:PATH.", rich_help_panel=COUNTING, show_default=False),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        help="common, combined, vhost_combined, nginx_json, or an Apache LogFormat string.",
        rich_help_panel=READING,
    ),
]
UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        help="path (without the query), full, or template (numbers and UUIDs collapsed).",
        rich_help_panel=READING,
    ),
]
TimezoneOption = Annotated[
    str, typer.Option("--timezone", help="Zone of times that are logged without one.", rich_help_panel=READING)
]
ChannelOption = Annotated[
    str | None,
    typer.Option(
        "--channel",
        help="Flume's channel: file survives a kill of the agent, memory is four times faster.",
        show_default="file; memory with --once",
        rich_help_panel=RUNNING,
    ),
]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature is typer's
    if wanted:
        typer.echo(f"headrace {metadata.version('headrace')}")
        raise typer.Exit


@app.callback()
def entry(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take access logs from Apache Flume into Apache Spark and count URLs in windows."""


@app.command()
def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="With --once: the files to count, .gz and .zst too.", metavar="[FILE]..."),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Count these files in a fresh state folder, then end.", rich_help_panel=RUNNING),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            help="Folder that holds everything of a run.",
            show_default="state; a temporary one with --once",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    spool: SpoolOption = None,
    channel: ChannelOption = None,
    window: WindowOption = defaults.DEFAULT_WINDOW,
    slide: SlideOption = None,
    watermark: WatermarkOption = defaults.DEFAULT_WATERMARK,
    time: TimeOption = "event",
    top: TopOption = defaults.DEFAULT_TOP,
    trigger: TriggerOption = defaults.DEFAULT_TRIGGER,
    max_events: MaxEventsOption = None,
    sink: SinkOption = None,
    out: OutOption = None,
    log_format: FormatOption = "combined",
    url: UrlOption = "path",
    timezone: TimezoneOption = "UTC",
) -> None:
    """Run agent, bridge and Spark job until Ctrl-C, going on where the last run stopped.

    With `--once FILE...` send these files through the whole pipeline, print the sum of the lines, and end.

    Example: `headrace run --window 1m --sink console --sink jsonl:counts.jsonl`

    Example: `headrace run --once access.log.gz --window 1h --out counts.jsonl`
    """
    from headrace import once as once_command
    from headrace import run as run_command

    if once and not files:
        raise OptionError("--once needs files to count: headrace run --once access.log")
    if files and not once:
        raise OptionError(f"{files[0]}: to count files and end, write --once; to hand them to a run, headrace drop")
    if once and spool is not None:
        raise OptionError("--spool cannot be used with --once, which makes a fresh folder")
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
        channel=channel or ("memory" if once else "file"),
    )
    if once:
        once_command.run_once(files or [], options, state)
    else:
        run_command.run_until_stopped(options, state or DEFAULT_STATE, spool)


@app.command()
def demo(
    state: StateOption = DEFAULT_STATE,
    lines: Annotated[int, typer.Option("--lines", min=1, help="Lines of the sample.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Another seed makes another sample.")] = 1,
    window: WindowOption = defaults.DEFAULT_WINDOW,
    slide: SlideOption = None,
    watermark: WatermarkOption = defaults.DEFAULT_WATERMARK,
    top: TopOption = defaults.DEFAULT_TOP,
) -> None:
    """Run the whole pipeline and hand it a sample access log, once for each state folder.

    Example: `headrace demo`, then in another terminal `headrace drop access.log`
    """
    from headrace import run as run_command
    from headrace.sample import SampleSettings

    options = defaults.parse_options(window=window, slide=slide, watermark=watermark, top=top, channel="file")
    run_command.run_demo(options, state, SampleSettings(lines=lines, seed=seed, malformed=min(lines, 12)))


@app.command()
def drop(
    files: Annotated[list[Path], typer.Argument(help="Log files; .gz and .zst are unpacked.", metavar="FILE...")],
    state: StateOption = DEFAULT_STATE,
    spool: SpoolOption = None,
) -> None:
    """Hand log files over to the agent, safely: copied whole, then renamed to a name never used before.

    Example: `headrace drop access.log access.log.1.gz`
    """
    from headrace.console import drop_with_progress
    from headrace.state import StateFolder

    drop_with_progress(files, StateFolder(state, spool).spool)


@app.command()
def status(state: StateOption = DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """Show every stage with its counters, lag and freshness, and whether the sums hold.

    Ends with 1 when a stage is down or a sum is broken.

    Example: `headrace status --json`
    """
    from headrace.console import show_status
    from headrace.state import StateFolder

    raise typer.Exit(show_status(StateFolder(state), as_json=as_json))


@app.command()
def stop(
    state: StateOption = DEFAULT_STATE,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the end.")] = 120.0,
) -> None:
    """Stop a run that goes on elsewhere, in the order of the data.

    Example: `headrace stop`
    """
    from headrace.run import stop_run
    from headrace.state import StateFolder

    stop_run(StateFolder(state), timeout)


@app.command()
def doctor(state: StateOption = DEFAULT_STATE, spool: SpoolOption = None, as_json: JsonOption = False) -> None:
    """Check this machine: Python, Java, Spark, Flume's jars, disk, ports, memory.

    Example: `headrace doctor`
    """
    from headrace.console import show_findings
    from headrace.doctor import examine
    from headrace.state import StateFolder

    folder = StateFolder(state, spool)
    raise typer.Exit(show_findings(examine(folder.root, folder.spool), as_json=as_json))


@app.command()
def sample(
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="standard output")] = None,
    lines: Annotated[int, typer.Option("--lines", min=0, help="How many lines.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 1,
    start: Annotated[
        str | None,
        typer.Option("--start", help="Time of the first request, ISO 8601.", show_default="2015-01-05T08:00:00Z"),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.001, help="Requests a second.")] = 10.0,
    disorder: Annotated[float, typer.Option("--disorder", min=0, help="Seconds that lines may be out of order.")] = 5.0,
    malformed: Annotated[int, typer.Option("--malformed", min=0, help="How many of the lines are no log lines.")] = 0,
) -> None:
    """Write a made-up access log in Apache's combined format.

    It starts in early 2015 unless told otherwise, so that a real log that is dropped after it into the same run is
    newer, and not late.

    Example: `headrace sample --lines 1000000 --seed 7 --out access.log`
    """
    from headrace.console import write_sample
    from headrace.sample import DEFAULT_START, SampleSettings

    settings = SampleSettings(
        lines=lines,
        seed=seed,
        start=_time("--start", start) if start is not None else DEFAULT_START,
        rate=rate,
        disorder_s=disorder,
        malformed=malformed,
    )
    write_sample(settings, out)


def _time(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OptionError(f"{name} {text}: write it like 2015-01-05T08:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def main() -> None:
    """Run the command line: every expected failure becomes one sentence on standard error and an exit code."""
    try:
        app()
    except HeadraceError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `headrace sample | head` does.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _fail(str(error), 1)
    except Exception as error:
        from headrace.faults import exit_code_of

        code = exit_code_of(error)
        if code is None:
            raise
        _fail(str(error), code)


def _fail(text: str, code: int) -> None:
    from headrace.text import printable

    sys.stderr.write(f"headrace: {printable(text)}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
