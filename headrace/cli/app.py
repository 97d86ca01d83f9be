"""The command line. Each command reads and checks its arguments and leaves the work to a module of its own.

Data goes to standard output, what is told about it to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage or
configuration, 130 interrupted. Heavy packages are imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from headrace.cli import jobs as job_commands
from headrace.cli import log, run, tools
from headrace.errors import HeadraceError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Take access logs from Apache Flume into Apache Spark and count URLs in windows.",
)
log_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Check or look into a bridge's log.")

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
    """Take the group's own options, of which there are none."""


app.command("run")(job_commands.run_command())
app.command()(job_commands.jobs)
app.add_typer(job_app, name="job")
app.command("sql")(job_commands.sql_command())
app.command()(run.demo)
app.command()(run.drop)
app.command()(run.status)
app.command()(run.top)
app.command()(run.stop)
app.command()(tools.doctor)
app.command()(tools.sample)
app.command()(tools.render)
app.command()(tools.jars)
log_app.command()(log.verify)
log_app.command()(log.dump)
app.add_typer(log_app, name="log")


def main() -> None:
    """Run the command line: every expected failure becomes one sentence on standard error and an exit code."""
    try:
        app()
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
