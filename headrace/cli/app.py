"""The command line: all commands, in groups. Each reads its arguments and calls the module that does the work.

Data goes to standard output, messages go to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or
configuration, 130 interrupted. Heavy packages are imported inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from headrace.cli import containers, log, run, tools
from headrace.cli import jobs as job_commands
from headrace.errors import HeadraceError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Take access logs from Apache Flume into Apache Spark and count URLs in windows.",
)
log_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Check a bridge's log, or print its events."
)

job_app = typer.Typer(cls=job_commands.JobGroup, no_args_is_help=True, rich_markup_mode="markdown")


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


@job_app.callback(help=job_commands.JOB_HELP)
def job_entry() -> None:
    """Accept no options: each job has its own."""


RUN_PANEL = "Run on this machine"
CONTAINERS_PANEL = "Run in containers"
TOOLS_PANEL = "Tools"

app.command(rich_help_panel=RUN_PANEL)(run.demo)
app.command("run", rich_help_panel=RUN_PANEL)(job_commands.run_command())
app.command(rich_help_panel=RUN_PANEL)(job_commands.jobs)
app.add_typer(job_app, name="job", rich_help_panel=RUN_PANEL)
app.command("sql", rich_help_panel=RUN_PANEL)(job_commands.sql_command())
app.command(rich_help_panel=RUN_PANEL)(run.drop)
app.command(rich_help_panel=RUN_PANEL)(run.status)
app.command(rich_help_panel=RUN_PANEL)(run.top)
app.command(rich_help_panel=RUN_PANEL)(run.stop)
for name, function in containers.commands():
    app.command(name, rich_help_panel=CONTAINERS_PANEL)(function)
app.command(rich_help_panel=TOOLS_PANEL)(tools.doctor)
app.command(rich_help_panel=TOOLS_PANEL)(tools.sample)
app.command(rich_help_panel=TOOLS_PANEL)(tools.render)
app.command(rich_help_panel=TOOLS_PANEL)(tools.jars)
log_app.command()(log.verify)
log_app.command()(log.dump)
app.add_typer(log_app, name="log", rich_help_panel=TOOLS_PANEL)


def main() -> None:
    """Run the command line; every expected failure becomes a message on standard error and an exit code."""
    try:
        app(prog_name="headrace")
    except HeadraceError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        _fail(str(error), 1)
    except Exception as error:
        from headrace.cli.exit_codes import exit_code_of

        code = exit_code_of(error)
        if code is None:
            raise
        _fail(str(error), code)


def _fail(text: str, code: int) -> None:
    from headrace.messages import say

    say(text)
    sys.exit(code)


if __name__ == "__main__":
    main()
