"""What the job ``url-counts`` can be told, read and checked as a whole before Java is started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from spark_job.dead_letters import DEFAULT_MAX_BYTES
from spark_job.durations import format_duration, spark_interval
from spark_job.options import AccessLogOptions, parse_access_log_options
from spark_job.parse import LineParser
from spark_job.sinks.table import Retention

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.sinks.choice import SinkChoice
    from spark_job.windows import Windows

DEFAULT_MAX_EVENTS = 1_000_000
DEFAULT_RETENTION = Retention(max_rows=5_000_000)


@dataclass(frozen=True)
class UrlCountsSettings:
    """A checked set of settings; making it raises OptionError for what cannot be used.

    Attributes:
        bridges: comma list of the bridges' Flight addresses.
        job_folder: where everything that the job keeps is.
        windows: window, slide and watermark.
        time: ``event`` or ``arrival``.
        log_format: name of a log format, or a LogFormat string.
        url: the URL rule: path, full or template.
        timezone: zone of times that carry none.
        consumer: the name under which the bridges keep this job's place.
        starting: where a job without a checkpoint starts: earliest or latest.
        allow_data_loss: go on behind events that are gone or damaged, instead of stopping.
        tls_root_certificates: PEM file; given, the bridges are spoken to with TLS.
        token_file: file with the bridges' bearer token.
        allow_plaintext: the token may go beyond this machine without TLS, since the network is private.
        max_events: most events of one micro-batch.
        trigger: shortest time between the starts of two micro-batches; zero: as soon as there is something.
        sinks: where the counts are shown and kept beside the table.
        top: how many URLs of a window the console shows.
        retention: which closed windows the table lets go.
        dead_letter_bytes: how much of malformed lines is kept.
        master: Spark's master URL.
        driver_memory: the driver's Java heap, as Java writes it.
        stall_after: the job gives up when events wait and no batch has ended for so long.
        drain_to_file: file that, once it is there, says up to which offsets to go before the job ends.
    """

    bridges: str
    job_folder: Path
    windows: Windows
    time: str = "event"
    log_format: str = "combined"
    url: str = "path"
    timezone: str = "UTC"
    consumer: str = "url-counts"
    starting: str = "earliest"
    allow_data_loss: bool = False
    tls_root_certificates: Path | None = None
    token_file: Path | None = None
    allow_plaintext: bool = False
    max_events: int = DEFAULT_MAX_EVENTS
    trigger: timedelta = timedelta(milliseconds=200)
    sinks: tuple[SinkChoice, ...] = ()
    top: int = 10
    retention: Retention = DEFAULT_RETENTION
    dead_letter_bytes: int = DEFAULT_MAX_BYTES
    master: str = "local[*]"
    driver_memory: str = "1g"
    stall_after: timedelta = timedelta(minutes=5)
    drain_to_file: Path | None = None

    def __post_init__(self) -> None:
        self.parsed_source_options()
        LineParser(self.log_format, self.url, self.timezone)

    def source_options(self) -> dict[str, str]:
        """Return the options of the source ``access_log``."""
        options = {
            "bridges": self.bridges,
            "consumer": self.consumer,
            "startingOffsets": self.starting,
            "failOnDataLoss": str(not self.allow_data_loss).lower(),
            "maxEventsPerTrigger": str(self.max_events),
            "logFormat": self.log_format,
            "url": self.url,
            "timezone": self.timezone,
            "time": self.time,
            "rollup": spark_interval(self.windows.pane),
            "audit": str(self.job_folder / "audit"),
        }
        if self.tls_root_certificates is not None:
            options["tlsRootCertificates"] = str(self.tls_root_certificates)
        if self.token_file is not None:
            options["tokenFile"] = str(self.token_file)
            options["allowPlaintext"] = str(self.allow_plaintext).lower()
        return options

    def parsed_source_options(self) -> AccessLogOptions:
        """Return the source's options as the source reads them."""
        return parse_access_log_options(self.source_options())

    def fingerprint(self) -> dict[str, str]:
        """Return what decides what the counts mean: with a change in it, old counts and new ones do not mix."""
        return {
            "window": format_duration(self.windows.length),
            "slide": format_duration(self.windows.slide),
            "time": self.time,
            "format": self.log_format,
            "url": self.url,
            "timezone": self.timezone,
            "consumer": self.consumer,
        }
