"""The commands that run a job through the whole pipeline, ``run``, ``job NAME`` and ``sql``; and the list of jobs.

Their options are made from the option models of the jobs. ``headrace job`` is a group whose commands are the jobs of
the catalog. A job, and Spark with it, is imported only when its own command is called; the list needs neither.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from headrace.errors import StageRefused, UsageError
from headrace.job_status import URL_COUNTS
from headrace.local import run_options as reading
from spark_job.jobs.catalog import JOBS, SQL, Entry, entry_of, load
from spark_job.jobs.options import SqlOptions, UrlCountsOptions
from spark_job.options import command_line
from spark_job.runner.job_settings import READING_FIELDS, RUNNING, JobSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spark_job.runner.job_settings import JobOptions

OWN_OPTIONS = "What is computed"
INPUTS = {
    "access_log": "Reads access logs: each line is a request.",
    "json_events": "Reads JSON objects, one a line, with these fields: {fields}.",
    "flume": "Reads lines of any kind.",
    "objects": "Reads JSON objects, one a line, from files in a bucket or a folder, with these fields: {fields}.",
}

JOB_HELP = """Run one of the jobs until Ctrl-C, going on where it last stopped; `job NAME --help` has its options.

With `--once FILE... --out PATH` the job reads these files, writes its final results to PATH, one JSON object a row, and
ends.

Example: `headrace job sessions --gap 20m`

Example: `headrace job sessions --once access.log.gz --out sessions.jsonl`
"""

SQL_HELP = """Answer a query over the views access_log and flume, live until Ctrl-C or over files.

`access_log` has one row for each line: time, host, user, method, url, path, protocol, status, bytes, referrer, agent,
duration, received, bridge, offset. `flume` has one row for each event: received, headers, body, bridge, offset. A query
that aggregates shows its whole answer after each micro-batch, or, with `--key`, the rows that changed; other queries
show each row once.

Example: `headrace sql "SELECT url, count(*) AS hits FROM access_log GROUP BY url, window(time, '1 minute')"`

Example: `headrace sql "SELECT status, count(*) AS n FROM access_log GROUP BY status" --once access.log --out n.jsonl`
"""

RUN_HELP = """Run agent, bridge and the job url-counts until Ctrl-C, going on where the last run stopped.

With `--once FILE...` the run sends these files through the whole pipeline, prints the sum of the lines, and ends.

Example: `headrace run --window 1m --sink console --sink jsonl:counts.jsonl`

Example: `headrace run --once access.log.gz --window 1h --out counts.jsonl`
"""


def pipeline_parameters(own: type[JobOptions], *, reads_lines: bool) -> list[inspect.Parameter]:
    """Return the parameters of a command that runs a job.

    They are the files, the job's own options, those that all jobs share, and those of the pipeline.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    files = typer.Argument(help="With --once: the files to read; .gz and .zst are unpacked.", metavar="FILE")
    once = typer.Option(
        "--once", help="Read these files in a fresh state folder, then end.", rich_help_panel=reading.RUNNING
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
        run_job(given, URL_COUNTS, UrlCountsOptions)

    return command_line.with_signature(body, pipeline_parameters(UrlCountsOptions, reads_lines=True), RUN_HELP)


def run_job(given: Mapping[str, Any], job: str, own: type[JobOptions]) -> None:
    """Run a job with the options of the command line, until it is stopped or over files.

    Raises:
        HeadraceError: an option cannot be used, or the run failed.
    """
    from headrace.cli.output import once_progress
    from headrace.local import run as run_command
    from headrace.local import run_once as once_command

    files, once = given["files"], given["once"]
    _check_files(files, once=once, spool=given["spool"])
    options = reading.read_run_options(given, job, own)
    if not reading.needs_bridge(job):
        from headrace.local.run_without_bridge import run_without_bridge

        options = options.over_files(files or [])
        reading.check_job(options)
        run_without_bridge(options, temporary=once and options.pipeline.state is None)
        return
    reading.check_job(options)
    if once:
        once_command.run_once(files or [], options, options.pipeline.state, once_progress)
    else:
        run_command.run_until_stopped(options, options.state, options.pipeline.spool)


class JobGroup(TyperGroup):
    """The jobs as commands. The list is made from the catalog; a job is imported when its command is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- the group's interface
        """Return the jobs' names."""
        return [entry.name for entry in JOBS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 -- the group's interface
        """Return a command that has only what the list shows."""
        return TyperCommand(cmd_name, help=entry_of(cmd_name).summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ARG002 -- the group's interface
        """Return the command that was called, with its options.

        Raises:
            UsageError: no job has that name.
        """
        name, *rest = args
        app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        app.command(name)(job_command(entry_of(name)))
        return name, typer.main.get_command(app), rest


def job_command(entry: Entry) -> Callable[..., None]:
    """Return the command of one job."""
    job = load(entry.name)
    fields_of = getattr(getattr(job, "structured", job), "fields", {})
    fields = ", ".join(f"{name} ({kind})" for name, kind in fields_of.items())
    examples = [f"headrace job {entry.name}", f"headrace job {entry.name} --once FILE... --out results.jsonl"]
    paragraphs = [
        entry.summary,
        INPUTS.get(job.source, "").format(fields=fields),
        f"In Spark's words: {entry.shows}.",
        *(f"Example: `{example}`" for example in examples),
    ]

    def body(**given: Any) -> None:
        run_job(given, entry.name, job.options)

    taken = pipeline_parameters(job.options, reads_lines=job.source == "access_log")
    return command_line.with_signature(body, taken, "\n\n".join(filter(None, paragraphs)))


def sql_command() -> Callable[..., None]:
    """Return the command ``sql``."""
    query = inspect.Parameter(
        "query",
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[str, typer.Argument(help="The query.", metavar="QUERY")],
    )

    def body(**given: Any) -> None:
        try:
            run_job(given, SQL.name, SqlOptions)
        except StageRefused as refused:
            # Show only the job's own message: the stage and its exit code say nothing about the query.
            raise UsageError(str(refused).partition("error: ")[2] or str(refused)) from None

    return command_line.with_signature(body, [query, *pipeline_parameters(SqlOptions, reads_lines=True)], SQL_HELP)


def jobs() -> None:
    """List the jobs: what each computes, which of Spark's streaming APIs it uses, and what it is an example of.

    Example: `headrace jobs`
    """
    from headrace.cli.output import show_jobs

    show_jobs(JOBS)


def _check_files(files: list[Path] | None, *, once: bool, spool: Path | None) -> None:
    if once and not files:
        raise UsageError("--once needs files to read, for example `--once access.log`")
    if files and not once:
        raise UsageError(f"{files[0]}: to read files and end, write --once; to hand them to a run, use `headrace drop`")
    if once and spool is not None:
        raise UsageError("--spool cannot be used with --once, which makes a fresh folder")
