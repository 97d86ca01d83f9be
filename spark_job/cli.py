"""The jobs as commands.

Exit codes: 0 done or stopped by SIGTERM; 1 failed, and starting again is sane; 2 the options or the job folder cannot
be used; 130 stopped by Ctrl-C. The counts go to standard output, everything else to standard error.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path  # noqa: TC003 -- typer reads the annotations when the program runs
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from spark_job.durations import parse_duration, parse_length
from spark_job.errors import JobFolderError, OptionError, SparkJobError
from spark_job.execution.settings import DEFAULT_MAX_EVENTS, DEFAULT_RETENTION, UrlCountsSettings
from spark_job.sinks.choice import parse_sink
from spark_job.sinks.table import Retention
from spark_job.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def jobs() -> None:
    """Spark jobs over the events of the bridges."""


@app.command("url-counts")
def url_counts(
    bridges: Annotated[str, typer.Option(help="The bridges' Flight addresses: host:port,host:port.")],
    job_folder: Annotated[Path, typer.Option(help="Where the job keeps its checkpoint, table and logs.")],
    window: Annotated[str, typer.Option(help="Length of a window.")] = "1m",
    slide: Annotated[str, typer.Option(help="Time between the starts of two windows  [default: the window]")] = "",
    watermark: Annotated[str, typer.Option(help="How far behind the newest line others may be.")] = "10m",
    time: Annotated[str, typer.Option(help="event: the time in the line; arrival: when the bridge got it.")] = "event",
    log_format: Annotated[
        str, typer.Option("--format", help="common, combined, vhost_combined, nginx_json or an Apache LogFormat.")
    ] = "combined",
    url: Annotated[str, typer.Option(help="path (no query), full, or template (numbers collapsed).")] = "path",
    timezone: Annotated[str, typer.Option(help="Time zone of lines that name none.")] = "UTC",
    top: Annotated[int, typer.Option(min=1, help="How many URLs of a window the console shows.")] = 10,
    trigger: Annotated[str, typer.Option(help="Shortest time between two micro-batches; 0s: none.")] = "200ms",
    sink: Annotated[
        list[str] | None, typer.Option(help="console, jsonl:PATH or parquet:PATH; repeatable  [default: console]")
    ] = None,
    consumer: Annotated[str, typer.Option(help="Name under which the bridges keep this job's place.")] = "url-counts",
    start: Annotated[str, typer.Option(help="Where a new job starts: earliest or latest.")] = "earliest",
    max_events: Annotated[int, typer.Option(min=1, help="Most lines of one micro-batch.")] = DEFAULT_MAX_EVENTS,
    keep: Annotated[str, typer.Option(help="Age at which windows leave the table  [default: never]")] = "",
    max_rows: Annotated[
        int, typer.Option(min=0, help="Most rows of the table, oldest windows leave first; 0: no limit.")
    ] = DEFAULT_RETENTION.max_rows or 0,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Go on behind lines that are gone or damaged.")
    ] = False,
    tls_root_certificates: Annotated[
        Path | None, typer.Option(help="PEM file; the bridges are spoken to with TLS.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the bridges' bearer token.")] = None,
    master: Annotated[str, typer.Option(help="Spark's master.")] = "local[*]",
    driver_memory: Annotated[str, typer.Option(help="Java heap of the driver.")] = "1g",
    stall_after: Annotated[str, typer.Option(help="Give up when lines wait and nothing moves for so long.")] = "5m",
    drain_to_file: Annotated[
        Path | None, typer.Option(help='Once this file is there ({"log id": offset}): count up to it and end.')
    ] = None,
) -> None:
    """Count how often each URL was asked for, in windows of time."""
    length = _duration("--window", window, parse_length)
    settings = UrlCountsSettings(
        bridges=bridges,
        job_folder=job_folder,
        windows=Windows(
            length=length,
            slide=_duration("--slide", slide, parse_length) if slide else length,
            watermark=_duration("--watermark", watermark, parse_duration),
        ),
        time=time,
        log_format=log_format,
        url=url,
        timezone=timezone,
        consumer=consumer,
        starting=start,
        allow_data_loss=allow_data_loss,
        tls_root_certificates=tls_root_certificates,
        token_file=token_file,
        max_events=max_events,
        trigger=_duration("--trigger", trigger, parse_duration),
        sinks=tuple(parse_sink(text) for text in sink or ["console"]),
        top=top,
        retention=Retention(_duration("--keep", keep, parse_length) if keep else None, max_rows or None),
        master=master,
        driver_memory=driver_memory,
        stall_after=_duration("--stall-after", stall_after, parse_length),
        drain_to_file=drain_to_file,
    )
    raise typer.Exit(_run_until_signal(settings))


def _run_until_signal(settings: UrlCountsSettings) -> int:
    # Java and the whole of pyspark.sql are not needed to say that an option is wrong.
    from spark_job.jobs.url_counts import run

    stop = Event()
    interrupted = Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            interrupted.set()
        stop.set()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        tally = run(settings, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    typer.echo(str(tally), err=True)
    if interrupted.is_set():
        return EXIT_INTERRUPTED
    if settings.drain_to_file is not None and not tally.balanced:
        typer.echo("error: the sum does not hold", err=True)
        return EXIT_FAILED
    return 0


def _duration(option: str, text: str, parse: Callable[[str], timedelta]) -> timedelta:
    try:
        return parse(text)
    except ValueError as error:
        raise OptionError(f"{option}={text!r}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    try:
        app(args=arguments, prog_name="python -m spark_job", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_FAILED
    except SparkJobError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE if isinstance(error, OptionError | JobFolderError) else EXIT_FAILED
    return 0
