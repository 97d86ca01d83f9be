"""The command line of the job process: ``python -m spark_job NAME ...``, and ``precompile`` for set-up.

Exit codes: 0 done, or stopped by SIGTERM; 1 failed, and a restart may help; 2 the options or the job folder cannot be
used; 130 stopped by Ctrl-C. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import signal
import sys
from threading import Event
from typing import TYPE_CHECKING, Any

import typer

from spark_job.errors import JobFolderError, OptionError, SparkJobError
from spark_job.jobs.catalog import JOBS, entry_of, load
from spark_job.options.command_line import parameters, read_options, with_signature
from spark_job.runner.job_settings import READING_FIELDS, RUNNING, JobSettings
from spark_job.runner.metrics_page import metrics_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_job.runner.job import Job
    from spark_job.runner.job_settings import JobOptions

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
OWN_OPTIONS = "What is computed"


def job_command(name: str) -> typer.Typer:
    """Return the command line of one job; its options come from the models of the job and of the settings.

    Raises:
        OptionError: no job has that name.
    """
    entry, job = entry_of(name), load(name)
    skip = () if job.source == "access_log" else READING_FIELDS
    taken = parameters(job.options, OWN_OPTIONS, internal=True)
    taken += parameters(JobSettings, RUNNING, skip=skip, internal=True)

    def run(**given: Any) -> None:
        settings = read_options(JobSettings, given).of_job(name)
        raise typer.Exit(run_until_signal(job, settings, read_options(job.options, given)))

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name)(with_signature(run, taken, entry.summary))
    return app


def run_until_signal(job: Job, settings: JobSettings, options: JobOptions) -> int:
    """Run a job until it ends, SIGTERM or Ctrl-C; print its sum to standard error and return the exit code.

    Raises:
        SparkJobError: the error that ended the job.
    """
    job.check(settings, options)
    # Imported after the check: a refused option must not wait for what runs jobs.
    from spark_job.runner.run import run_job

    stop = Event()
    interrupted = Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            interrupted.set()
        stop.set()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with metrics_page(settings.job_folder / "progress.json", settings.metrics):
            outcome = run_job(job, settings, options, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    typer.echo(str(outcome), err=True)
    if interrupted.is_set():
        return EXIT_INTERRUPTED
    if settings.drain_to_file is not None and not stop.is_set() and not outcome.balanced:
        typer.echo(
            "error: the sum does not balance: some lines are missing, or are counted twice; see progress.json", err=True
        )
        return EXIT_FAILED
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if not given or given[0] in ("-h", "--help"):
            names = "\n".join(f"  {entry.name:<20} {entry.summary}" for entry in JOBS)
            sys.stdout.write(f"Usage: python -m spark_job JOB [OPTIONS]; each job has a --help\n\n{names}\n")
            return 0 if given else EXIT_USAGE
        if given == ["precompile"]:
            from spark_job.parse.kernels.precompile import precompile

            precompile()
            return 0
        job_command(given[0])(args=given[1:], prog_name=f"python -m spark_job {given[0]}", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_FAILED
    except SparkJobError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE if isinstance(error, OptionError | JobFolderError) else EXIT_FAILED
    return 0
