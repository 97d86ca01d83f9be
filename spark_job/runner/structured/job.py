"""A job over DataFrames: its source, the one function that computes its result, and how the result is stored.

The function takes a DataFrame of parsed lines and returns one of results; it does not know whether they stream. A live
run passes a stream and stores what each micro-batch changes (:mod:`.stream`). A bounded run passes all lines of a
range of the log as one batch and stores the result (:mod:`.batch`): Spark cannot close the windows and sessions that
are open when a stream ends, and a batch leaves none open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from headrace.common.durations import MICROSECOND, format_duration, spark_interval
from spark_job.errors import OptionError
from spark_job.parse import LineParser
from spark_job.runner.job_settings import described
from spark_job.runner.results.shape import ResultShape
from spark_job.sinks.sink_spec import refuse_parquet
from spark_job.source.json_options import parse_json_events_options
from spark_job.source.options import parse_access_log_options, parse_flume_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession

    from spark_job.accounting.lateness import Lateness
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.results.url_counts import UrlCounting
    from spark_job.source.options import FlumeOptions

ROCKSDB = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    )
}
"""The only state store that transformWithState works with."""


@dataclass(frozen=True)
class StructuredJob:
    """One job.

    Attributes:
        name: the name on the command line, ``headrace job NAME``.
        options: the model of the job's own options.
        rows: from parsed lines to results; the same for a stream and for a batch.
        key: the columns of the result that tell its rows apart.
        counted: the column of the result whose sum is the number of lines counted. Empty if there is none: then every
            line that the function received counts.
        lateness: how the query decides which lines are late, by the job's options. In a job whose rows are sums no
            line is late, and only its windows matter.
        sums: the columns of the result that are sums over lines. If there are any, ``rows`` gets the lines of one
            micro-batch at a time, and the table adds these columns up by key: Spark keeps no state, and a line counts
            however late it comes.
        url_counting: for a job that counts URLs in windows: which ones, and how long, by the job's options. Its live
            runs read lines that the source has added up per pane, and keep the results in the table that
            ``headrace top``, Parquet files and the console read (:mod:`spark_job.sinks.counts_table`). Its columns are
            ``window_start``, ``window_end``, ``url``, ``hits``, ``bytes``, ``errors``.
        source: ``access_log``, ``json_events`` or ``flume``.
        fields: the fields of ``json_events``, name to type.
        time: the column with the time of a line.
        output_mode: as in :class:`ResultShape`.
        spark: further settings of Spark.
        prepared: makes the options that ``rows`` gets, once, before the query starts. Its arguments are a function
            that reads all lines of the bridges as a batch, the options, the job's folder, and the stop event.
        shape: how a result is stored, for jobs whose shape depends on the result.
        lazy: ``rows`` reads no line, so a bounded run calls it first and refuses a wrong query before any line arrives.
    """

    name: str
    options: type[JobOptions]
    rows: Callable[[DataFrame, Any], DataFrame]
    key: tuple[str, ...]
    counted: str
    lateness: Callable[[Any], Lateness]
    sums: tuple[str, ...] = ()
    url_counting: Callable[[Any], UrlCounting] | None = None
    source: str = "access_log"
    fields: Mapping[str, str] = field(default_factory=dict)
    time: str = "time"
    output_mode: Literal["update", "append", "complete"] = "update"
    spark: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[Callable[[], DataFrame], Any, Path, Event], Any] | None = None
    shape: Callable[[DataFrame, Any], ResultShape] | None = None
    lazy: bool = False

    def resolved(self, options: Any) -> StructuredJob:  # noqa: ARG002 -- the interface of every job
        """Return this job: it computes the same thing for all options."""
        return self

    def shape_of(self, result: DataFrame, options: JobOptions) -> ResultShape:
        """Return how a result is stored."""
        return ResultShape(self.key, self.output_mode) if self.shape is None else self.shape(result, options)

    def keeps_url_counts(self, settings: JobSettings) -> bool:
        """Say whether a run keeps its results in the table of URL counts; bounded runs store rows as any job does."""
        return self.url_counting is not None and not settings.bounded

    def source_options(self, settings: JobSettings, options: JobOptions) -> dict[str, str]:
        """Return the options of the source, including those of its audit."""
        pane = self.lateness(options).pane
        audit = {"audit": str(settings.job_folder.absolute() / "audit")}
        if self.keeps_url_counts(settings):
            return settings.access_log_options() | {"rollup": spark_interval(pane)} | audit
        audit["auditPane"] = "instant" if pane == MICROSECOND else spark_interval(pane)
        if self.source == "access_log":
            return settings.access_log_options() | audit
        if self.source == "flume":
            return settings.flume_options() | {"includeHeaders": "true"} | audit
        fields = ", ".join(f"{name} {kind}" for name, kind in self.fields.items())
        return settings.flume_options() | {"fields": fields, "timeField": self.time} | audit

    def flume_options(self, source_options: Mapping[str, str]) -> FlumeOptions:
        """Return the options of the bridges among those of the source, parsed.

        Raises:
            OptionError: an option of the source cannot be used.
        """
        if self.source == "flume":
            return parse_flume_options(source_options)
        if self.source == "access_log":
            return parse_access_log_options(source_options).flume
        return parse_json_events_options(source_options).flume

    def check(self, settings: JobSettings, options: JobOptions) -> None:
        """Refuse what the source, the parser or the results would refuse.

        Raises:
            OptionError: the text names the option.
        """
        if settings.bounded and settings.drain_to_file is None:
            raise OptionError("--bounded needs --drain-to-file: it says where the range ends")
        self.flume_options(self.source_options(settings, options))
        if self.source == "access_log":
            LineParser(settings.log_format, settings.url, settings.timezone)
        if not self.keeps_url_counts(settings):
            refuse_parquet(settings.sinks)

    def fingerprint(self, settings: JobSettings, options: JobOptions) -> dict[str, str]:
        """Return what decides what the results mean; if it changes, old results and new ones do not mix."""
        reading = {
            "time": settings.time,
            "format": settings.log_format,
            "url": settings.url,
            "timezone": settings.timezone,
        }
        if self.url_counting is not None and self.keeps_url_counts(settings):
            windows = self.url_counting(options).windows
            lengths = {"window": format_duration(windows.length), "slide": format_duration(windows.slide)}
            return lengths | reading | {"consumer": settings.consumer}
        return {
            "job": self.name,
            "bounded": str(settings.bounded).lower(),
            "consumer": settings.consumer,
            **described(options),
            **(reading if self.source == "access_log" else {}),
        }


def stream_of(spark: SparkSession, source: str, options: Mapping[str, str]) -> DataFrame:
    """Return the parsed lines that arrive; the audit has the malformed ones."""
    return well_formed(spark.readStream.format(source).options(**options).load())


def batch_of(spark: SparkSession, source: str, options: Mapping[str, str], ends: str = "latest") -> DataFrame:
    """Return the parsed lines that the bridges hold, up to the offsets ``ends``."""
    return well_formed(spark.read.format(source).options(**options, endingOffsets=ends).load())


def well_formed(lines: DataFrame) -> DataFrame:
    """Drop malformed lines, and the columns that only they use."""
    return lines.where("error IS NULL").drop("raw", "error") if "error" in lines.columns else lines
