"""Delivery of DStream batches without Spark: real planner, plans and results over a bridge."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any, cast

from headrace.common.text import EPOCH
from spark_job.accounting.audit_file import AuditWriter
from spark_job.ranges import Part
from spark_job.runner.dstreams.batch_planner import BatchPlanner
from spark_job.runner.dstreams.batch_plans import BatchPlans
from spark_job.runner.dstreams.decoder import TextLines
from spark_job.runner.dstreams.delivery import ResultDelivery
from spark_job.runner.dstreams.options import SlidingOptions
from spark_job.runner.dstreams.part_reader import AUDIT_PANE_US, ONLY_PANE
from spark_job.runner.dstreams.run import open_results, prepare_checkpoint
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink
from spark_job.source.options import parse_flume_options
from tests.support.streams import results_by_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack
    from pathlib import Path
    from typing import Self

    from pyspark.core.rdd import RDD

    from spark_job.ranges import LogRange
    from spark_job.runner.dstreams.job import DStreamJob
    from tests.support.flight_double import FlightDouble

OPTIONS = SlidingOptions(window="2s", keep="1h")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class CollectedRows:
    """The RDD of a batch, as far as a delivery knows one: its rows are computed when they are collected."""

    def __init__(self, world: DeliveryWorld, time_ms: int, *rows: tuple[Any, ...], fails: bool = False) -> None:
        self._world, self._time_ms, self._rows, self._fails = world, time_ms, rows, fails

    def collect(self) -> list[tuple[Any, ...]]:
        if self._fails:
            raise RuntimeError("killed here")
        self._world.read(self._time_ms)
        return list(self._rows)


def write_audit(audit: Path, whole: LogRange, *, malformed: int = 0, lost: int = 0) -> None:
    """Write the audit of a task that read a whole range."""
    with AuditWriter(audit, Part(whole.start, whole.end, whole), AUDIT_PANE_US) as writer:
        events = whole.events - lost
        writer.record.add(events, {ONLY_PANE: events - malformed})
        writer.finish()


class InThisProcess:
    """A Spark context that runs the tasks at once."""

    def __init__(self) -> None:
        self._partitions: list[Any] = []

    def emptyRDD(self) -> Self:  # noqa: N802 -- pyspark's name
        return self

    def parallelize(self, partitions: list[Any], _slices: int) -> Self:
        self._partitions = partitions
        return self

    def mapPartitions(self, reader: Callable[[list[Any]], Iterable[Any]]) -> None:  # noqa: N802 -- pyspark's name
        for partition in self._partitions:
            list(reader([partition]))


class DeliveryWorld:
    """A job as its run opens it, without Spark: planner, plans, results, and a delivery between them.

    Args:
        root: the job folder; a second world in it is a job that starts again.
        bridge: the bridge.
        opened: closes it all.
        job: the job.
        sinks: further places for the results.
        recovers: whether Spark's checkpoint is still there.
    """

    def __init__(
        self,
        root: Path,
        bridge: FlightDouble,
        opened: ExitStack,
        job: DStreamJob,
        *sinks: str,
        recovers: bool = True,
    ) -> None:
        self.job = job
        self.folder = JobFolder(root)
        self.folder.checkpoint.folder.mkdir(exist_ok=True)
        self.checkpoint_file = self.folder.checkpoint.folder / "checkpoint-1000"
        if not recovers:
            self.checkpoint_file.unlink(missing_ok=True)
        self.options = parse_flume_options({"bridges": bridge.address, "consumer": "c", "bridgeTimeout": "200ms"})
        self.plans = opened.enter_context(closing(BatchPlans(root / "batches.db")))
        settings = (
            JobSettings(job_folder=root).of_job(job.name).model_copy(update={"sinks": tuple(map(parse_sink, sinks))})
        )
        self.results = opened.enter_context(open_results(job, settings, OPTIONS, self.folder, self.plans))
        stored_ms = self.results.table.newest_batch_id()
        planner = BatchPlanner(self.options, self.plans, TextLines(), self.folder.audit, 100, stored_ms)
        self.planner = opened.enter_context(closing(planner))
        self.planner.begin()
        prepare_checkpoint(job, OPTIONS.intervals, self.plans, self.results, self.folder, EPOCH)
        self.checkpoint_file.touch()
        self.stop = Event()
        self.delivery = ResultDelivery(
            job, OPTIONS.intervals, self.planner, self.plans, self.results, self.folder, self.stop, now=lambda: NOW
        )

    def read(self, time_ms: int) -> None:
        """Do what the tasks of a batch do."""
        self.planner.rdd(time_ms, cast("Any", InThisProcess()))

    def run(self, time_ms: int, *rows: tuple[Any, ...]) -> None:
        """Let a batch run as Spark does."""
        self.delivery.deliver(time_ms, self.rdd(time_ms, *rows))
        self.delivery.finish(time_ms)

    def rdd(self, time_ms: int, *rows: tuple[Any, ...], fails: bool = False) -> RDD[Any]:
        return cast("RDD[Any]", CollectedRows(self, time_ms, *rows, fails=fails))

    def stored(self) -> dict[int, dict[Any, Any]]:
        return results_by_time(self.job, self.folder.counts)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows of the results table."""
        return list(read_rows(parse_database_url(f"sqlite:///{self.folder.counts}"), self.job.table))
