"""The commands around the pipeline: the machine's check, samples, the agent's files, the bridge's log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import parameters as given
from headrace.errors import OptionError
from headrace.state_folder import DEFAULT_STATE


def doctor(
    state: given.StateOption = DEFAULT_STATE, spool: given.SpoolOption = None, as_json: given.JsonOption = False
) -> None:
    """Check this machine: Python, Java, Spark, Flume's jars, disk, ports, memory.

    Example: `headrace doctor`
    """
    from headrace.cli.output import show_findings
    from headrace.doctor import examine
    from headrace.state_folder import StateFolder

    folder = StateFolder(state, spool)
    raise typer.Exit(show_findings(examine(folder.root, folder.spool), as_json=as_json))


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
    from headrace.cli.output import write_sample
    from headrace.sample import DEFAULT_START, SampleSettings

    settings = SampleSettings(
        lines=lines,
        seed=seed,
        start=given.read_time("--start", start) if start is not None else DEFAULT_START,
        rate=rate,
        disorder_s=disorder,
        malformed=malformed,
    )
    write_sample(settings, out)


def render(
    values: Annotated[
        Path | None,
        typer.Option("--values", help="Values file of an agent; flume/config/values.toml describes each value."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the agent's files.", show_default=False)] = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1 when a committed example has drifted.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print how the committed examples would change.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Write the committed examples anew.")] = False,
) -> None:
    """Render an agent's configuration from its values, or compare the committed examples with their templates.

    Example: `headrace render --values agent.toml --out /etc/headrace/agent`

    Example: `headrace render --diff`
    """
    from headrace.cli.tool_work import compare_examples, render_files, update_examples

    if sum((check or diff, update, values is not None)) != 1:
        raise OptionError("one of --values FILE --out FOLDER, --check, --diff or --update is needed")
    if values is not None:
        if out is None:
            raise OptionError("--values needs --out: the folder for the agent's files")
        render_files(values, out)
    elif update:
        update_examples()
    else:
        raise typer.Exit(compare_examples(show=diff))


def jars(
    verify: Annotated[bool, typer.Option("--verify", help="Hash every jar again, also in a complete cache.")] = False,
    of_s3: Annotated[bool, typer.Option("--s3a", help="The jars that Spark needs to read from S3 instead.")] = False,
    as_json: given.JsonOption = False,
) -> None:
    """Fetch Flume's jars into the cache folder, and check them against their recorded checksums.

    Example: `headrace jars --verify`
    """
    from headrace.cli.tool_work import fetch_jars

    fetch_jars(verify=verify, as_json=as_json, of_s3=of_s3)


LogFolder = Annotated[
    Path | None, typer.Argument(help="A bridge's log folder.", metavar="FOLDER", show_default="that of --state")
]


def verify(
    folder: LogFolder = None, state: given.StateOption = DEFAULT_STATE, as_json: given.JsonOption = False
) -> None:
    """Check a log from end to end without changing it: pages, checksums, offsets, counters.

    Ends with 1 when something is damaged.

    Example: `headrace log verify state/bridge/data/0`
    """
    from headrace.cli.tool_work import log_folder, verify_log

    raise typer.Exit(verify_log(log_folder(folder, state), as_json=as_json))


def dump(
    folder: LogFolder = None,
    state: given.StateOption = DEFAULT_STATE,
    start: Annotated[
        int | None, typer.Option("--start", min=0, help="First offset.", show_default="the first one kept")
    ] = None,
    end: Annotated[
        int | None, typer.Option("--end", min=0, help="Offset to stop before.", show_default="the last one")
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="A line for each event instead of each batch.")] = False,
    body: Annotated[int, typer.Option("--body", min=0, help="With --events: bytes of each body to show.")] = 0,
) -> None:
    """Print what is in a log, one JSON object a line.

    Bodies are left out unless --body asks for them; they are escaped.

    Example: `headrace log dump --events --body 80 --start 1000 --end 1010`
    """
    from headrace.cli.tool_work import dump_log, log_folder

    raise typer.Exit(dump_log(log_folder(folder, state), start, end, events=events, body_bytes=body))
