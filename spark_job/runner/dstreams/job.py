"""A job over DStreams: what it reads, what it computes, and what its results are called.

=========  ========================  =================================  ================================================
kind       columns before the job's  key of a stored result             final result of a bounded run
=========  ========================  =================================  ================================================
``window`` window_start, window_end  window_end and the job's key       the newest window; it holds all that was read,
                                                                        unless the run was longer than the window
``batch``  batch_time                batch_time and the job's key       every batch
``state``  none                      the job's key                      every key
=========  ========================  =================================  ================================================

Results are stored under the time of their batch, which Spark may run again after a recovery. It then holds the same
events (see :mod:`spark_job.runner.dstreams.planned_batches`), so it has the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from spark_job.errors import OptionError
from spark_job.runner.job_settings import JobSettings, described
from spark_job.source.options import parse_flume_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    from pyspark.streaming.dstream import DStream

    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.decoder import Decoder
    from spark_job.runner.dstreams.options import BatchOptions
    from spark_job.source.options import FlumeOptions

CHANGEABLE = ("rate", "keep")
"""Options that may differ from one start to the next."""
NOT_FOR_BATCHES = {
    "trigger": "--batch-interval is the time between two batches",
    "time": "a line is of the batch in which it is read",
}
INSTANT = pa.timestamp("us", tz="UTC")
TIME_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "window": ("window_start", "window_end"),
    "batch": ("batch_time",),
    "state": (),
}


@dataclass(frozen=True)
class DStreamJob:
    """One job.

    Attributes:
        name: as in ``headrace job NAME``.
        options: the model of its own options.
        kind: how results and batches belong together; see the table above.
        decoder: makes the reader of the events' bodies.
        rows: from the tables of a batch to results, each a tuple of ``columns``.
        columns: name to Arrow type.
        key: the columns of these that tell the results of one batch apart.
        source: what it reads; ``access_log`` has the options for that.
        every_window: the windows of a bounded run are all of its result, and not only the newest.
        in_order: the console shows results in the order of their columns, and not the highest number first.
    """

    name: str
    options: type[BatchOptions]
    kind: Literal["window", "batch", "state"]
    decoder: Callable[[JobSettings, Any], Decoder]
    rows: Callable[[DStream[Any], Any], DStream[Any]]
    columns: Mapping[str, pa.DataType]
    key: tuple[str, ...]
    source: str = "access_log"
    every_window: bool = False
    in_order: bool = False

    @property
    def table(self) -> str:
        """Name of the table of results."""
        return self.name.replace("-", "_")

    @property
    def schema(self) -> pa.Schema:
        """Columns of a stored result."""
        times = [pa.field(name, INSTANT) for name in TIME_COLUMNS[self.kind]]
        return pa.schema([*times, *(pa.field(name, kind) for name, kind in self.columns.items())])

    @property
    def stored_key(self) -> tuple[str, ...]:
        """Columns that tell all stored results apart."""
        return (*TIME_COLUMNS[self.kind][-1:], *self.key)

    def check(self, settings: JobSettings, options: BatchOptions) -> None:
        """Refuse what the sources, the parser or the results would refuse.

        Raises:
            OptionError: the text names the option.
        """
        from spark_job.runner.dstreams.results import check_sinks

        flume_options(settings, options)
        for name, instead in NOT_FOR_BATCHES.items():
            if getattr(settings, name) != JobSettings.model_fields[name].default:
                raise OptionError(f"--{name} is for jobs in Structured Streaming; over DStreams, {instead}")
        self.decoder(settings, options)
        check_sinks(settings.sinks)

    def fingerprint(self, settings: JobSettings, options: BatchOptions) -> dict[str, str]:
        """Return what decides what the results mean: Spark keeps the intervals and functions in its checkpoint."""
        reading = {"format": settings.log_format, "url": settings.url, "timezone": settings.timezone}
        own = {name: text for name, text in described(options).items() if name not in CHANGEABLE}
        names = {"job": self.name, "consumer": settings.consumer}
        return names | own | (reading if self.source == "access_log" else {})

    def run(self, settings: JobSettings, options: BatchOptions, stop: Event) -> Tally:
        """Run until a stop is asked for, or until all that ``settings.drain_to_file`` names is done.

        Raises:
            OptionError: a setting cannot be used.
            JobFolderError: the job folder does not belong to these settings.
            SparkJobError: any other class of it: why the job died.
        """
        from spark_job.runner.dstreams.run import run_job

        return run_job(self, settings, options, stop)


def flume_options(settings: JobSettings, options: BatchOptions) -> FlumeOptions:
    """Return the options of the bridges as the sources read them.

    Raises:
        OptionError: one cannot be used.
    """
    limit = options.most_events(settings.max_events)
    return parse_flume_options(
        settings.flume_options() | {"maxEventsPerTrigger": str(limit), "includeHeaders": "false"}
    )
