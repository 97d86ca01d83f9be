"""Settings that every job has, read and checked as a whole before Java starts.

A job's own options are another model, derived from :class:`JobOptions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from headrace.common.durations import format_duration
from headrace.common.suggest import did_you_mean
from spark_job.options.model import Duration, Flag, Length, OptionModel, choice_of
from spark_job.sinks.sink_spec import DATABASE, SinkSpec, parse_sink
from spark_job.source.option_table import LOG_FORMATS, TIMES, URL_RULES, default_of

if TYPE_CHECKING:
    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.reader import CountsReader
    from spark_job.sinks.database import DatabaseUrl
    from spark_job.source.options import FlumeOptions

READING = "How lines are read"
RUNNING = "How the job runs"
PROCESS = "The job's process"

READING_FIELDS = ("time", "log_format", "url", "timezone")
"""The settings that only a job over access logs has."""


class JobOptions(OptionModel):
    """Base of a job's own options. Each field becomes an option of the command line; its description is the help."""


def _known_format(text: str) -> str:
    if "%" not in text and text not in LOG_FORMATS:
        raise ValueError(
            f"not one of {', '.join(LOG_FORMATS)}, nor a LogFormat string{did_you_mean(text, LOG_FORMATS)}"
        )
    return text


def _absolute(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path is not None else None


def _read_sinks(given: object) -> object:
    if not isinstance(given, Sequence) or isinstance(given, str):
        return given
    sinks = tuple(parse_sink(each) if isinstance(each, str) else each for each in given)
    if len(set(sinks)) < len(sinks):
        raise ValueError("the same sink is named twice")
    return sinks


class JobSettings(OptionModel):
    """Settings of every job, besides its own options.

    ``bridges`` and ``job_folder`` have placeholders until the pipeline knows them.

    Raises:
        OptionError: a value cannot be used.
    """

    bridges: Annotated[str, Flag(panel=PROCESS, internal=True)] = Field(
        "127.0.0.1:1", description="The bridges' Flight addresses: host:port,host:port."
    )
    job_folder: Annotated[Path, Flag(panel=PROCESS, internal=True)] = Field(
        Path(), description="Where the job keeps its checkpoint, results and logs."
    )
    time: Annotated[str, choice_of(*TIMES), Flag(panel=READING)] = Field(
        default_of("time"), description="event (in the line) or arrival (at the bridge)."
    )
    log_format: Annotated[str, AfterValidator(_known_format), Flag("format", READING)] = Field(
        default_of("logFormat"), description=f"{', '.join(LOG_FORMATS)}, or an Apache LogFormat string."
    )
    url: Annotated[str, choice_of(*URL_RULES), Flag(panel=READING)] = Field(
        default_of("url"), description="path (without the query), full, or template (numbers and UUIDs collapsed)."
    )
    timezone: Annotated[str, Flag(panel=READING)] = Field(
        default_of("timezone"), description="Zone of times that are logged without one."
    )
    top: Annotated[int, Flag(panel=RUNNING)] = Field(
        10, ge=1, description="Rows of a window, or of a micro-batch, on the console."
    )
    trigger: Annotated[Duration, Flag(panel=RUNNING)] = Field(
        timedelta(milliseconds=500), description="Time between two micro-batches; 0s: at once."
    )
    max_events: Annotated[int, Flag(panel=RUNNING)] = Field(
        1_000_000, ge=1, description="Events of one micro-batch at most."
    )
    sinks: Annotated[
        tuple[SinkSpec, ...], BeforeValidator(_read_sinks), Flag("sink", RUNNING, shown_default="console")
    ] = Field(
        (),
        description="Where results go: console, jsonl:PATH, parquet:PATH, or a database: sqlite:///PATH, "
        "postgresql://user@host/db, mariadb://user@host/db. Repeat it for several.",
    )
    password_file: Annotated[Path | None, AfterValidator(_absolute), Flag(panel=RUNNING)] = Field(
        None, description="File whose first line is the password of the database that --sink names."
    )
    retry_for: Annotated[Duration, Flag(panel=RUNNING)] = Field(
        timedelta(minutes=2), description="How long an outage of that database is waited for."
    )
    adopt_table: Annotated[bool, Flag(panel=RUNNING)] = Field(
        False,
        description="Take over a table of that database that another job or query owns; the other one is refused from "
        "then on. Meant for one start.",
    )
    consumer: Annotated[str, Flag(panel=PROCESS, internal=True, shown_default="the job's name")] = Field(
        "", description="Name under which the bridges keep this job's place."
    )
    start: Annotated[str, choice_of("earliest", "latest"), Flag(panel=PROCESS, internal=True)] = Field(
        default_of("startingOffsets"), description="Where a new job starts: earliest or latest."
    )
    allow_data_loss: Annotated[bool, Flag(panel=RUNNING)] = Field(
        False, description="Go on behind lines that are gone or damaged."
    )
    tls_root_certificates: Annotated[Path | None, Flag(panel=PROCESS, internal=True)] = Field(
        None, description="PEM file; the bridges are spoken to with TLS."
    )
    token_file: Annotated[Path | None, Flag(panel=PROCESS, internal=True)] = Field(
        None, description="File with the bridges' bearer token."
    )
    allow_plaintext: Annotated[bool, Flag(panel=PROCESS, internal=True)] = Field(
        False, description="Send the token without TLS: in a private network only."
    )
    metrics: Annotated[str, Flag(panel=PROCESS, internal=True)] = Field(
        "", description="host:port of a page for Prometheus."
    )
    master: Annotated[str, Flag(panel=PROCESS, internal=True)] = Field("local[*]", description="Spark's master.")
    driver_memory: Annotated[str, Flag(panel=PROCESS, internal=True)] = Field(
        "1g", description="Java heap of the driver, as Java writes it."
    )
    stall_after: Annotated[Length, Flag(panel=PROCESS, internal=True)] = Field(
        timedelta(minutes=5), description="Give up when events wait and nothing moves for so long."
    )
    drain_to_file: Annotated[Path | None, Flag(panel=PROCESS, internal=True)] = Field(
        None, description='Once this file is there ({"log id": offset}): go up to there and end.'
    )
    bounded: Annotated[bool, Flag(panel=PROCESS, internal=True)] = Field(
        False, description="Give the final results of what --drain-to-file names, and end."
    )

    @model_validator(mode="after")
    def _password_can_be_read(self) -> Self:
        for database in self.databases():
            database.with_password()
        return self

    def databases(self) -> list[DatabaseUrl]:
        """Return the databases among the sinks."""
        return [sink.database_url(self.password_file, self.retry_for) for sink in self.sinks if sink.kind == DATABASE]

    def open_sink(self, sink: SinkSpec, table: CountsReader) -> Sink:
        """Open a sink for the results table.

        Raises:
            OptionError: a table in a database does not fit, or belongs to another job.
            SinkError: it cannot be written.
        """
        return sink.open(
            table,
            top=self.top,
            password_file=self.password_file,
            retry_for=self.retry_for,
            adopt=self.adopt_table,
        )

    def of_job(self, name: str) -> Self:
        """Return the settings with the defaults that depend on the job's name."""
        changes: dict[str, Any] = {} if self.consumer else {"consumer": name}
        if not self.sinks:
            changes["sinks"] = (SinkSpec("console"),)
        return self.model_copy(update=changes)

    def flume_options(self) -> dict[str, str]:
        """Return the options shared by all sources that read from bridges."""
        options = {
            "bridges": self.bridges,
            "consumer": self.consumer,
            "startingOffsets": self.start,
            "failOnDataLoss": str(not self.allow_data_loss).lower(),
            "maxEventsPerTrigger": str(self.max_events),
        }
        if self.tls_root_certificates is not None:
            options["tlsRootCertificates"] = str(self.tls_root_certificates)
        if self.token_file is not None:
            options["tokenFile"] = str(self.token_file)
            options["allowPlaintext"] = str(self.allow_plaintext).lower()
        return options

    def parsed_flume_options(self, **changes: str) -> FlumeOptions:
        """Return :meth:`flume_options` as the sources parse them.

        Args:
            changes: options to set differently.

        Raises:
            OptionError: one cannot be used.
        """
        # The source imports Spark, and a help text must not wait for that.
        from spark_job.source.options import parse_flume_options

        return parse_flume_options(self.flume_options() | changes)

    def access_log_options(self) -> dict[str, str]:
        """Return the options of the source ``access_log``, including :meth:`flume_options`."""
        return self.flume_options() | {
            "logFormat": self.log_format,
            "url": self.url,
            "timezone": self.timezone,
            "time": self.time,
        }


def described(options: JobOptions) -> dict[str, str]:
    """Return a job's own options as text, for the fingerprint of its folder."""
    return {name: format_duration(value) if isinstance(value, timedelta) else str(value) for name, value in options}
