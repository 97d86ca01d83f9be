"""The commands around the pipeline: check this machine, write a sample, render an agent, fetch jars."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the program runs
from typing import Annotated

import typer

from headrace.cli import parameters as given
from headrace.errors import UsageError
from headrace.messages import say
from headrace.state_folder import DEFAULT_STATE


def doctor(
    state: given.StateOption = DEFAULT_STATE, spool: given.SpoolOption = None, as_json: given.JsonOption = False
) -> None:
    """Check this machine: Python, Java, Spark, Flume's jars, disk, ports, memory.

    Ends with 1 when a check fails; a warning does not count as a failure.

    Example: `headrace doctor`
    """
    from headrace.cli.output import show_findings
    from headrace.doctor import examine
    from headrace.state_folder import StateFolder

    folder = StateFolder(state, spool)
    raise typer.Exit(show_findings(examine(folder.root, folder.spool), as_json=as_json))


def sample(
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="standard output")] = None,
    lines: Annotated[int, typer.Option("--lines", min=0, help="Number of lines.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Seed: the same seed gives the same bytes.")] = 1,
    start: Annotated[
        str | None,
        typer.Option("--start", help="Time of the first request, ISO 8601.", show_default="2015-01-05T08:00:00Z"),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.001, help="Requests per second.")] = 10.0,
    disorder: Annotated[float, typer.Option("--disorder", min=0, help="Seconds that lines may be out of order.")] = 5.0,
    malformed: Annotated[int, typer.Option("--malformed", min=0, help="Number of lines that are not log lines.")] = 0,
) -> None:
    """Write a made-up access log in Apache's combined format.

    The sample starts in early 2015 by default. So a real log that you drop into the same run afterwards is newer, and
    the newest windows on the console are its own.

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
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 when a committed example differs from its template.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print how the committed examples would change.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Rewrite the committed examples.")] = False,
) -> None:
    """Render an agent's configuration from its values, or compare the committed examples with their templates.

    Example: `headrace render --values agent.toml --out /etc/headrace/agent`

    Example: `headrace render --diff`
    """
    if sum((check or diff, update, values is not None)) != 1:
        raise UsageError("one of --values FILE --out FOLDER, --check, --diff or --update is needed")
    if values is not None:
        if out is None:
            raise UsageError("--values needs --out: the folder for the agent's files")
        _render_agent(values, out)
    elif update:
        _update_examples()
    else:
        raise typer.Exit(_compare_examples(show=diff))


def jars(
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the hash of every jar, even if the cache is complete.")
    ] = False,
    of_s3: Annotated[
        bool, typer.Option("--s3a", help="Fetch the jars that Spark needs to read from S3 instead of Flume's.")
    ] = False,
    as_json: given.JsonOption = False,
) -> None:
    """Fetch Flume's jars into the cache folder and check them against their recorded checksums.

    Example: `headrace jars --verify`
    """
    from flume.jars.cache import ensure_jars
    from headrace import jars_s3a

    found = (jars_s3a.ensure_jars if of_s3 else ensure_jars)(_show_fetched, verify=verify)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        sys.stdout.write(json.dumps([str(jar) for jar in found], indent=2) + "\n")
    else:
        say(f"{len(found)} jars are complete in {found[0].parent}")


def _show_fetched(done: int, total: int, name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{done}/{total} {name}")
        sys.stderr.flush()


def _render_agent(values: Path, out: Path) -> None:
    from flume.config.render import render_agent
    from flume.config.values import load_values

    rendered = render_agent(load_values(values), out)
    say(f"rendered {', '.join(rendered.components)} into {rendered.folder}")


def _compare_examples(*, show: bool) -> int:
    """Compare the committed examples with what their values render to; return the exit code."""
    from flume.config.rendered_examples import diff

    difference = diff()
    if show:
        sys.stdout.write(difference)
    elif difference:
        changed = [line for line in difference.splitlines() if line.startswith(("-", "+"))]
        say("the committed examples differ from their templates; `headrace render --diff` shows all of this:")
        # The names of the first file, the hash of its values, and the first line that differs beside that.
        sys.stderr.write("".join(f"  {line}\n" for line in changed[:6]))
    return 1 if difference else 0


def _update_examples() -> None:
    from flume.config.rendered_examples import update

    changed = update()
    say(f"{len(changed)} files changed" + "".join(f"\n  {path}" for path in changed))
