"""A job over DataFrames: what it reads, the one function that says what it computes, and what its results are called.

The function gets a DataFrame of parsed lines and gives one of results; it does not know whether they stream. That is
used twice. A live run gives it a stream, and stores what changes after each micro-batch (:mod:`.live`). A bounded run
gives it all lines of a range of the log at once, and stores what comes out (:mod:`.bounded`): Spark has no way to close
the windows and sessions that a stream leaves open at its end, and a batch has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from headrace.common.durations import MICROSECOND, spark_interval
from spark_job.errors import OptionError
from spark_job.parse import LineParser
from spark_job.runner.job_settings import described
from spark_job.runner.results import check_sinks
from spark_job.source.json_options import parse_json_events_options
from spark_job.source.options import parse_access_log_options, parse_flume_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from threading import Event

    from pyspark.sql import DataFrame, SparkSession

    from spark_job.accounting.lateness import Lateness
    from spark_job.accounting.tally import Tally
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.source.options import FlumeOptions

ROCKSDB = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    )
}
"""The only state store that transformWithState works with."""


@dataclass(frozen=True)
class Shape:
    """How the rows of a result are stored.

    Attributes:
        key: the columns that tell rows apart.
        output_mode: ``update`` (rows that changed), ``append`` (rows once they are final) or ``complete`` (all rows).
        numbered: no columns do that; rows get a number, in a first column ``row``.
        ordered: the rows of a batch come in an order that means something.
    """

    key: tuple[str, ...]
    output_mode: Literal["update", "append", "complete"]
    numbered: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class StructuredJob:
    """One job.

    Attributes:
        name: as in ``headrace job NAME``.
        options: the model of its own options.
        rows: from parsed lines to results; the same for a stream and for a batch.
        key: the columns of the result that tell its rows apart.
        counted: the column of the result whose sum is the number of lines counted; empty where no column tells, and
            all that the function was given count.
        lateness: how the query decides which lines are late, by the job's options.
        source: ``access_log``, ``json_events`` or ``flume``.
        fields: of ``json_events``, name to type.
        time: the column that tells when a line happened.
        output_mode: as in :class:`Shape`.
        spark: further settings of Spark.
        prepared: makes the options that ``rows`` gets, once, before the query: is given what reads all lines that the
            bridges hold as a batch, the options, a folder to keep things in, and the event that asks for the end.
        shape: how a result is stored, where that depends on the result.
        lazy: ``rows`` looks at no line, so what it refuses shows before there are any.
    """

    name: str
    options: type[JobOptions]
    rows: Callable[[DataFrame, Any], DataFrame]
    key: tuple[str, ...]
    counted: str
    lateness: Callable[[Any], Lateness]
    source: str = "access_log"
    fields: Mapping[str, str] = field(default_factory=dict)
    time: str = "time"
    output_mode: Literal["update", "append", "complete"] = "update"
    spark: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[Callable[[], DataFrame], Any, Path, Event], Any] | None = None
    shape: Callable[[DataFrame, Any], Shape] | None = None
    lazy: bool = False

    def shape_of(self, result: DataFrame, options: JobOptions) -> Shape:
        """Return how a result is stored."""
        return Shape(self.key, self.output_mode) if self.shape is None else self.shape(result, options)

    def source_options(self, settings: JobSettings, options: JobOptions) -> dict[str, str]:
        """Return the options of the source, its audit included."""
        pane = self.lateness(options).pane
        audit = {
            "audit": str(settings.job_folder.absolute() / "audit"),
            "auditPane": "instant" if pane == MICROSECOND else spark_interval(pane),
        }
        if self.source == "access_log":
            return settings.access_log_options() | audit
        if self.source == "flume":
            return settings.flume_options() | {"includeHeaders": "true"} | audit
        fields = ", ".join(f"{name} {kind}" for name, kind in self.fields.items())
        return settings.flume_options() | {"fields": fields, "timeField": self.time} | audit

    def check(self, settings: JobSettings, options: JobOptions) -> None:
        """Refuse what the source, the parser or the results would refuse.

        Raises:
            OptionError: the text names the option.
        """
        if settings.bounded and settings.drain_to_file is None:
            raise OptionError("--bounded needs --drain-to-file: it says where the range ends")
        given = self.source_options(settings, options)
        if self.source == "access_log":
            parse_access_log_options(given)
            LineParser(settings.log_format, settings.url, settings.timezone)
        elif self.source == "flume":
            parse_flume_options(given)
        else:
            parse_json_events_options(given)
        check_sinks(settings.sinks)

    def fingerprint(self, settings: JobSettings, options: JobOptions) -> dict[str, str]:
        """Return what decides what the results mean: with a change in it, old results and new ones do not mix."""
        reading = {
            "time": settings.time,
            "format": settings.log_format,
            "url": settings.url,
            "timezone": settings.timezone,
        }
        return {
            "job": self.name,
            "bounded": str(settings.bounded).lower(),
            "consumer": settings.consumer,
            **described(options),
            **(reading if self.source == "access_log" else {}),
        }

    def run(self, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
        """Run until a stop is asked for, or until all that ``settings.drain_to_file`` names is done.

        Raises:
            OptionError: a setting cannot be used.
            JobFolderError: the job folder does not belong to these settings.
            SparkJobError: any other class of it: why the job died.
        """
        from spark_job.runner.structured.batch import run_bounded
        from spark_job.runner.structured.stream import run_live

        return (run_bounded if settings.bounded else run_live)(self, settings, options, stop)


def flume_options(settings: JobSettings) -> FlumeOptions:
    """Return the options of the bridges as the sources read them."""
    return parse_flume_options(settings.flume_options())


def stream_of(spark: SparkSession, source: str, options: Mapping[str, str]) -> DataFrame:
    """Return the parsed lines that arrive; malformed ones are in the audit."""
    return well_formed(spark.readStream.format(source).options(**options).load())


def batch_of(spark: SparkSession, source: str, options: Mapping[str, str], ends: str = "latest") -> DataFrame:
    """Return the parsed lines that the bridges hold, up to the offsets ``ends``."""
    return well_formed(spark.read.format(source).options(**options, endingOffsets=ends).load())


def well_formed(lines: DataFrame) -> DataFrame:
    """Leave malformed lines out, and the columns that only they have."""
    return lines.where("error IS NULL").drop("raw", "error") if "error" in lines.columns else lines
