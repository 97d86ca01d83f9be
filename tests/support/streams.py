"""DStream jobs inside a test: real bridges, planner, streams and results, on a clock that the test moves."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

from headrace.common.durations import MILLISECOND
from headrace.common.text import EPOCH
from spark_job.runner.dstreams.batch_planner import BatchPlanner
from spark_job.runner.dstreams.batch_plans import BatchPlans
from spark_job.runner.dstreams.context import error_of, manual_clock, open_streams
from spark_job.runner.dstreams.delivery import ResultDelivery
from spark_job.runner.dstreams.direct_stream import serving
from spark_job.runner.dstreams.run import build, open_results, prepare_checkpoint
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.database import parse_database_url, read_rows
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from pyspark.sql import SparkSession

    from spark_job.accounting.tally import Tally
    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.runner.dstreams.options import BatchOptions

CLOCK = "spark.streaming.clock"
MANUAL_CLOCK = "org.apache.spark.util.ManualClock"
BATCH_TIMEOUT_S = 120.0


class SteppedStreams:
    """A job's streams, a context manager; opened again on the same folder, they are recovered from their checkpoint.

    Times are seconds since the epoch, at which the clock begins: the first batch is that at one batch interval. Opened
    again, it begins at the newest stored batch. Spark's checkpoint may be older, if it was still being written when
    the streams were closed: then batches come again, as they do when time has passed.
    """

    def __init__(
        self,
        spark: SparkSession,
        job: DStreamJob,
        options: BatchOptions,
        bridges: str,
        folder: Path,
        *,
        bridge_timeout_s: float = 30.0,
        **settings: Any,
    ) -> None:
        self.job = job
        self.options = options
        self.folder = JobFolder(folder)
        self.settings = JobSettings(bridges=bridges, job_folder=folder, **settings).of_job(job.name)
        self.settings = self.settings.model_copy(update={"sinks": ()})
        self.stop = Event()
        self._interval_ms = options.intervals.batch // MILLISECOND
        with ExitStack() as opened:
            self.plans = opened.enter_context(closing(BatchPlans(folder / "batches.db")))
            self.results = opened.enter_context(open_results(job, self.settings, options, self.folder, self.plans))
            flume = replace(job.flume_options(self.settings, options), bridge_timeout_s=bridge_timeout_s)
            decoder = job.decoder(self.settings, options)
            limit = options.most_events(self.settings.max_events)
            stored_ms = self.results.table.newest_batch_id()
            self.planner = opened.enter_context(
                closing(BatchPlanner(flume, self.plans, decoder, self.folder.audit, limit, stored_ms))
            )
            self.planner.begin()
            prepare_checkpoint(job, options.intervals, self.plans, self.results, self.folder, EPOCH)
            self.delivery = ResultDelivery(
                job, options.intervals, self.planner, self.plans, self.results, self.folder, self.stop
            )
            opened.enter_context(serving(self.planner, self.delivery))
            java: Any = spark.sparkContext._jsc
            java.sc().conf().set(CLOCK, MANUAL_CLOCK)
            opened.callback(java.sc().conf().remove, CLOCK)
            self._ssc = open_streams(
                spark.sparkContext,
                self.folder.checkpoint.folder,
                options.intervals.batch,
                lambda ssc: build(job, options, self.plans, ssc, self.folder),
            )
            opened.callback(self._ssc.stop, stopSparkContext=False, stopGraceFully=False)
            opened.callback(self.stop.set)
            self._ssc.start()
            self._clock = manual_clock(self._ssc)
            self._clock.advance(max(self._finished_ms() - self.now_ms, 0))
            self._opened = opened.pop_all()

    @property
    def now_ms(self) -> int:
        """What the clock shows."""
        return int(self._clock.getTimeMillis())

    def let_due(self, batches: int = 1) -> None:
        """Let batches become due; does not wait for them."""
        self._clock.advance(batches * self._interval_ms)

    def step(self, batches: int = 1) -> None:
        """Let one batch after the other become due and wait until each is finished."""
        for _batch in range(batches):
            self.let_due()
            self.wait()

    def wait(self) -> None:
        """Wait until the newest batch that is due is finished."""
        due_ms = self.now_ms - self.now_ms % self._interval_ms

        def finished() -> bool:
            error = self.planner.failure or self.delivery.failure or error_of(self._ssc)
            if error is not None:
                raise error
            return due_ms <= (self.delivery.newest.number if self.delivery.newest else 0)

        wait_until(finished, BATCH_TIMEOUT_S, f"the batch at {due_ms} ms")

    def failed(self) -> Exception:
        """Wait until a batch fails; return why."""
        error = wait_until(lambda: self.planner.failure or self.delivery.failure, BATCH_TIMEOUT_S, "a batch to fail")
        assert error is not None
        return error

    def _finished_ms(self) -> int:
        newest_ms = self.plans.newest_ms() or 0
        unstored = self.plans.between(self.results.table.newest_batch_id(), newest_ms)
        return unstored[0].time_ms - self._interval_ms if unstored else newest_ms

    @property
    def tally(self) -> Tally:
        """The sum so far."""
        return self.delivery.tally

    def by_time(self) -> dict[int, dict[Any, Any]]:
        """Stored results: batch time in seconds to the rows of that batch, by key, as the rest of their columns."""
        return results_by_time(self.job, self.folder.counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def results_by_time(job: DStreamJob, database: Path) -> dict[int, dict[Any, Any]]:
    """Return the stored results of a job: batch time in seconds, key, other columns. A single column stands alone."""
    found: dict[int, dict[Any, Any]] = defaultdict(dict)
    time_column = job.stored_key[0] if job.kind != "state" else None
    others = [name for name in job.columns if name not in job.key]
    for row in read_rows(parse_database_url(f"sqlite:///{database}"), job.table):
        time_s = int(row[time_column].timestamp()) if time_column else 0
        found[time_s][_alone([row[name] for name in job.key])] = _alone([row[name] for name in others])
    return dict(found)


def _alone(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(values)
