"""Structured jobs inside a test: the real bridge log, source, query, ledger and tables, stepped by hand or bounded."""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

from spark_job.runner.job import table_name
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.structured.batch import compute
from spark_job.runner.structured.beginning import begin
from spark_job.runner.structured.job import batch_of
from spark_job.runner.structured.opening import open_results
from spark_job.runner.structured.stream import make_writer, spark_settings, start_query
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from pyspark.sql import SparkSession

    from spark_job.accounting.tally import Tally
    from spark_job.runner.job_settings import JobOptions
    from spark_job.runner.structured.job import StructuredJob
    from tests.support.bridges import RealBridge

BATCH_EVENTS = 10_000


def settings_for(job: StructuredJob, bridge: RealBridge, folder: Path, **more: Any) -> JobSettings:
    """Return the settings of a job on a bridge."""
    changes = {"max_events": BATCH_EVENTS, "trigger": timedelta(0), **more}
    return JobSettings(bridges=bridge.address, job_folder=folder, **changes).of_job(job.name)


def stored(job: StructuredJob, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a job's table, in the order of its key."""
    return list(read_rows(parse_database_url(f"sqlite:///{folder / 'counts.db'}"), table_name(job.name)))


def run_over(
    spark: SparkSession, job: StructuredJob, options: JobOptions, bridge: RealBridge, folder: Path
) -> tuple[list[dict[str, Any]], Tally]:
    """Run a job over all that a bridge holds, as a bounded run does; return its results and its sum."""
    settings = settings_for(job, bridge, folder, sinks=(), bounded=True, drain_to_file=folder / "drain.json")
    ends = {bridge.log_id: bridge.log.next_offset}
    with configured(spark, spark_settings(job)):
        tally = compute(job, settings, options, JobFolder(folder), spark, ends, Event())
    return stored(job, folder), tally


class configured:  # noqa: N801 -- used like a function
    """Settings of Spark for the time of a block, in a session that others use too."""

    def __init__(self, spark: SparkSession, settings: Any) -> None:
        self._spark = spark
        self._settings = dict(settings)
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: self._spark.conf.get(name, None) for name in self._settings}
        for name, value in self._settings.items():
            self._spark.conf.set(name, value)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                self._spark.conf.unset(name)
            else:
                self._spark.conf.set(name, value)


class JobQuery:
    """One query of a job over one bridge, in a job folder; a context manager. The same folder may be opened again."""

    def __init__(
        self,
        spark: SparkSession,
        job: StructuredJob,
        options: JobOptions,
        bridge: RealBridge,
        folder: Path,
        **more: Any,
    ) -> None:
        self.bridge = bridge
        self.job = job
        self._settings = settings_for(job, bridge, folder, **more)
        self.folder = JobFolder(folder)
        self._spark = spark
        self._options = options
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        spark, settings, job = self._spark, self._settings, self.job
        with ExitStack() as opened:
            opened.enter_context(configured(spark, spark_settings(job)))
            bridges = opened.enter_context(closing(Bridges(settings.parsed_flume_options(), RetryPolicy(5.0))))
            options = self._options
            if job.prepared is not None:
                given = settings.access_log_options()
                del given["startingOffsets"]
                options = job.prepared(lambda: batch_of(spark, job.source, given), options, self.folder.root, Event())
            results = open_results(job, settings, options, self.folder, spark, bridges)
            opened.enter_context(results)
            flume = job.flume_options(job.source_options(settings, options))
            self.beginning = begin(flume, settings, self.folder.checkpoint, results)
            self.writer = make_writer(job, settings, options, self.folder, bridges, results, self.beginning)
            self.query = start_query(job, settings, options, self.folder, spark, self.beginning, self.writer)
            opened.callback(self.query.stop)
            self._opened = opened.pop_all()
        return self

    def feed(self, bodies: Sequence[bytes]) -> None:
        """Store events at the bridge and let the query read them."""
        self.bridge.extend(bodies)
        self.query.processAllAvailable()

    def rows(self) -> list[dict[str, Any]]:
        """Return what is stored by now."""
        return stored(self.job, self.folder.root)

    def __exit__(self, *_: object) -> None:
        self._opened.close()
