"""A job whose results are sums by window and URL, kept in the results table.

``headrace top``, the Parquet files and the console's shares read that table, so this kind of job has a fixed result:
``window_start``, ``window_end``, ``url``, ``hits``, ``bytes``, ``errors``. A bounded run computes the same function
over a batch and stores it as any structured job does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from headrace.common.durations import format_duration, spark_interval
from spark_job.parse import LineParser
from spark_job.source.options import parse_access_log_options

if TYPE_CHECKING:
    from typing import Self

    from pyspark.sql import DataFrame

    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.structured.job import StructuredJob
    from spark_job.sinks.counts_table.writer import Retention
    from spark_job.source.options import FlumeOptions
    from spark_job.windows import Windows


class CountingOptions(Protocol):
    """What the options of such a job have besides their fields."""

    @property
    def windows(self) -> Windows:
        """Window, slide and watermark."""

    @property
    def retention(self) -> Retention:
        """Which closed windows leave the table."""


@dataclass(frozen=True)
class CountsTableJob:
    """One job.

    Attributes:
        bounded: the same function as a structured job, for bounded runs.
    """

    bounded: StructuredJob

    @property
    def name(self) -> str:
        """The name on the command line: ``headrace job NAME``."""
        return self.bounded.name

    @property
    def source(self) -> str:
        """What it reads: always ``access_log``."""
        return self.bounded.source

    @property
    def options(self) -> type[JobOptions]:
        """The model of the job's own options."""
        return self.bounded.options

    def rows(self, lines: DataFrame, options: Any) -> DataFrame:
        """Return the counts of a stream of lines."""
        return self.bounded.rows(lines, options)

    def resolved(self, options: Any) -> Self:  # noqa: ARG002 -- the interface of every job
        """Return this job: it computes the same thing for all options."""
        return self

    def source_options(self, settings: JobSettings, options: CountingOptions) -> dict[str, str]:
        """Return the options of the source; it adds lines up per pane where it reads them."""
        return settings.access_log_options() | {
            "rollup": spark_interval(options.windows.pane),
            "audit": str(settings.job_folder / "audit"),
        }

    def flume_options(self, settings: JobSettings, options: CountingOptions) -> FlumeOptions:
        """Return the options of the bridges, parsed.

        Raises:
            OptionError: one cannot be used.
        """
        return parse_access_log_options(self.source_options(settings, options)).flume

    def check(self, settings: JobSettings, options: CountingOptions) -> None:
        """Refuse what the source or the parser would refuse.

        Raises:
            OptionError: the text names the option.
        """
        self.flume_options(settings, options)
        LineParser(settings.log_format, settings.url, settings.timezone)

    def fingerprint(self, settings: JobSettings, options: CountingOptions) -> dict[str, str]:
        """Return what decides what the counts mean; if it changes, old counts and new ones do not mix."""
        return {
            "window": format_duration(options.windows.length),
            "slide": format_duration(options.windows.slide),
            "time": settings.time,
            "format": settings.log_format,
            "url": settings.url,
            "timezone": settings.timezone,
            "consumer": settings.consumer,
        }
