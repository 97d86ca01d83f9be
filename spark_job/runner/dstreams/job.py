"""A job over DStreams: its source, the function that computes its result, and how the result is stored.

=========  ========================  =================================  ================================================
kind       columns before the job's  key of a stored result             final result of a bounded run
=========  ========================  =================================  ================================================
``window`` window_start, window_end  window_end and the job's key       the newest window, which holds every line unless
                                                                        the run was longer than the window
``batch``  batch_time                batch_time and the job's key       every batch
``state``  none                      the job's key                      every key
=========  ========================  =================================  ================================================

Results are stored under the time of their batch. After a recovery Spark may run a batch again; it then holds the same
events (see :mod:`spark_job.runner.dstreams.batch_plans`) and so has the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from headrace.common.durations import MILLISECOND
from headrace.common.text import EPOCH
from spark_job.errors import OptionError
from spark_job.runner.job import table_name
from spark_job.runner.job_settings import JobSettings, described
from spark_job.runner.results.shape import TimedBatches
from spark_job.sinks.sink_spec import refuse_parquet
from spark_job.sinks.terminal import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from typing import Self

    from pyspark.streaming.dstream import DStream

    from spark_job.runner.dstreams.decoder import Decoder
    from spark_job.runner.dstreams.options import BatchOptions
    from spark_job.source.options import FlumeOptions

CHANGEABLE = ("rate", "keep")
"""Options that may differ from one start to the next."""
NOT_FOR_BATCHES = {
    "trigger": "--batch-interval is the time between two batches",
    "time": "a line belongs to the batch in which it is read",
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
        name: the name on the command line, ``headrace job NAME``.
        options: the model of the job's own options.
        kind: how results relate to batches; see the table above.
        decoder: makes the decoder of the events' bodies.
        rows: from the tables of a batch to results, each a tuple of ``columns``.
        columns: the columns of a result, name to Arrow type.
        key: the columns that tell the results of one batch apart.
        source: what it reads: ``access_log``, ``json_events`` or ``flume``.
        every_window: the result of a bounded run is every window, not only the newest.
        in_order: the console orders rows by their columns, not by the highest number.
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
        """Name of the results table."""
        return table_name(self.name)

    @property
    def schema(self) -> pa.Schema:
        """Columns of a stored result: those of the time, then the job's own."""
        times = [pa.field(name, INSTANT) for name in TIME_COLUMNS[self.kind]]
        return pa.schema([*times, *(pa.field(name, kind) for name, kind in self.columns.items())])

    @property
    def stored_key(self) -> tuple[str, ...]:
        """Columns that tell all stored results apart."""
        return (*TIME_COLUMNS[self.kind][-1:], *self.key)

    def timed(self, keep: timedelta | None) -> TimedBatches:
        """Return how results are kept and shown; ``keep`` is how long those of windows stay in the table."""
        numbers = tuple(name for name, kind in self.columns.items() if pa.types.is_integer(kind))
        ranked = () if self.in_order else numbers[:1]
        rest = (name for name in self.columns if name not in ranked)
        window = self.kind == "window"
        return TimedBatches(
            order=(*((name, "descending") for name in ranked), *((name, "ascending") for name in rest)),
            numbers=numbers,
            column=self.stored_key[0] if TIME_COLUMNS[self.kind] else "",
            keep=keep if window else None,
            newest_only=window and not self.every_window,
        )

    def stored_rows(self, time_ms: int, window: timedelta, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
        """Return the results of a batch with the columns of its time in front.

        Args:
            time_ms: the batch time.
            window: how far back the results reach.
            rows: the results, each a tuple of ``columns``.
        """
        end = EPOCH + time_ms * MILLISECOND
        times = {name: end - window if name == "window_start" else end for name in TIME_COLUMNS[self.kind]}
        values = [[instant] * len(rows) for instant in times.values()]
        values += [[row[place] for row in rows] for place in range(len(self.columns))]
        return pa.table(
            [pa.array(each, field.type) for each, field in zip(values, self.schema, strict=True)], self.schema
        )

    def title(self, time_ms: int, window: timedelta) -> str:
        """Return the line above the results of a batch on the console."""
        end = EPOCH + time_ms * MILLISECOND
        start = f"{instant_text(end - window)} to " if self.kind == "window" else ""
        return f"{start}{instant_text(end)} UTC"

    def resolved(self, options: Any) -> Self:  # noqa: ARG002 -- the interface of every job
        """Return this job: it computes the same thing for all options."""
        return self

    def flume_options(self, settings: JobSettings, options: BatchOptions) -> FlumeOptions:
        """Return the options of the bridges, parsed.

        Raises:
            OptionError: one cannot be used.
        """
        limit = options.most_events(settings.max_events)
        return settings.parsed_flume_options(maxEventsPerTrigger=str(limit), includeHeaders="false")

    def check(self, settings: JobSettings, options: BatchOptions) -> None:
        """Refuse what the sources, the parser or the results would refuse.

        Raises:
            OptionError: the text names the option.
        """
        self.flume_options(settings, options)
        for name, instead in NOT_FOR_BATCHES.items():
            if getattr(settings, name) != JobSettings.model_fields[name].default:
                raise OptionError(f"--{name} is for jobs in Structured Streaming; over DStreams, {instead}")
        self.decoder(settings, options)
        refuse_parquet(settings.sinks)

    def fingerprint(self, settings: JobSettings, options: BatchOptions) -> dict[str, str]:
        """Return what decides what the results mean. Spark keeps the intervals and functions in its checkpoint."""
        reading = {"format": settings.log_format, "url": settings.url, "timezone": settings.timezone}
        own = {name: text for name, text in described(options).items() if name not in CHANGEABLE}
        names = {"job": self.name, "consumer": settings.consumer}
        return names | own | (reading if self.source == "access_log" else {})
