"""A structured job over a range of the log that is known: the same function as live, over a batch.

The range goes from where the job would start to the offsets in the file of ``--drain-to-file``, which is waited for.
Each line is read and parsed once: the parsed lines are kept, by Spark, for as long as the job's function needs them.
Nothing is late, since a batch has no watermark, and nothing stays open. Run again, it gives the same results.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.errors import PySparkException

from headrace.common.durations import MICROSECOND
from headrace.common.files import replacing
from spark_job.accounting.audit_file import read_audit
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.tally import Tally
from spark_job.errors import sink_errors
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.progress import write_progress
from spark_job.runner.query_watch import LOOK_EVERY_S, cause_of, read_drain_file
from spark_job.runner.session import start_session, stop_session
from spark_job.runner.structured.job import batch_of
from spark_job.runner.structured.stream import in_shape, open_results, session_of
from spark_job.source import register
from spark_job.source.bridges import Bridges
from spark_job.source.json_options import parse_json_events_options
from spark_job.source.options import parse_access_log_options, parse_flume_options
from spark_job.source.partitions import plan_batch

if TYPE_CHECKING:
    from threading import Event

    from pyspark.sql import SparkSession

    from spark_job.ranges import LogRange
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.structured.job import StructuredJob


def run_bounded(job: StructuredJob, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
    """Run a job; see :meth:`.StructuredJob.run`."""
    folder = JobFolder(settings.job_folder)
    with folder.claimed(job.fingerprint(settings, options)), ExitStack() as opened:
        spark = start_session(session_of(job, settings, folder))
        opened.callback(stop_session, spark)
        register(spark)
        if job.lazy:
            job.rows(batch_of(spark, job.source, job.source_options(settings, options)), options)
        ends = wait_for_end(settings, folder, stop)
        if ends is None:
            tell(folder, "stopped")
            return Tally()
        tell(folder, "draining")
        try:
            tally = compute(job, settings, options, folder, spark, ends, stop)
        except PySparkException as error:
            raise cause_of(error) from error
        with sink_errors(folder.tally), replacing(folder.tally) as file:
            file.write(json.dumps(tally.as_json(), indent=2).encode())
        tell(folder, "stopped", ends, tally)
    return tally


def wait_for_end(settings: JobSettings, folder: JobFolder, stop: Event) -> dict[str, int] | None:
    """Return the offsets at which the range ends, once they are known; None when the end was asked for before."""
    path = settings.drain_to_file
    while path is None or not path.exists():
        tell(folder, "running")
        if stop.wait(LOOK_EVERY_S):
            return None
    return read_drain_file(path)


def compute(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    ends: dict[str, int],
    stop: Event,
) -> Tally:
    """Store and show the results of the range up to ``ends``; return the sum of its lines."""
    given = job.source_options(settings, options) | {"startingOffsets": "earliest"}
    ranges = ranges_up_to(ends, given, job.source)
    given["startingOffsets"] = json.dumps({each.log_id: each.start for each in ranges})
    lines = batch_of(spark, job.source, given, json.dumps({each.log_id: each.end for each in ranges}))
    # Read here, once and to the end, so that the audit is whole whatever part of it the job's function asks for.
    lines = lines.persist(StorageLevel.MEMORY_AND_DISK)
    lines.count()
    if job.prepared is not None:
        options = job.prepared(lambda: lines, options, folder.root, stop)
    result = job.rows(lines, options)
    shape = job.shape_of(result, options)
    rows = in_shape(result.toArrow(), shape, 0)
    lateness = job.lateness(options)
    pane_us = lateness.pane // MICROSECOND
    loss = settings.allow_data_loss
    parts = [part for each in ranges for part in read_audit(folder.audit, each, pane_us, allow_loss=loss)]
    lost = sum(each.events for each in ranges) - sum(part.events for part in parts)
    read, malformed = sum(part.events for part in parts), sum(part.malformed for part in parts)
    with open_results(job, settings, folder, result, shape) as results:
        results.store(rows, query_id=None, replace=True)
        hits = results.counted(now=True)
        if hits is None:
            tally = Tally(read, lost, malformed, hits=read - malformed)
        else:
            tally = Tally(read, lost, malformed, hits=hits, windows_per_line=lateness.per_line)
        results.show(rows, tally)
    DeadLetters(folder.audit, folder.dead_letters).clear_audit(ends)
    return tally


def ranges_up_to(ends: dict[str, int], given: dict[str, str], source: str) -> list[LogRange]:
    """Return what there is to read of each log."""
    options = given | {"endingOffsets": json.dumps(ends)}
    if source == "flume":
        flume = parse_flume_options(options)
    else:
        flume = (parse_access_log_options if source == "access_log" else parse_json_events_options)(options).flume
    with closing(Bridges(flume)) as bridges:
        wholes = {partition.part.whole for partition in plan_batch(flume, bridges)}
    return sorted(wholes, key=lambda each: each.log_id)


def tell(folder: JobFolder, state: str, positions: dict[str, int] | None = None, tally: Tally | None = None) -> None:
    """Write ``progress.json``."""
    write_progress(
        folder.progress, state, datetime.now(UTC), positions=positions or {}, tally=tally or Tally(), waiting=None
    )
