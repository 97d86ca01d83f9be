"""Runs a structured job over a known range of the log: the same function as in a live run, over a batch.

The range ends at the offsets in the file of ``--drain-to-file``; the run waits for that file. Each line is read and
parsed once: Spark keeps the parsed lines for as long as the job's function needs them. No line is late, since a batch
has no watermark, and no window stays open. A second run gives the same results.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.errors import PySparkException

from headrace.common.durations import MICROSECOND
from spark_job.accounting.audit_file import read_audit
from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.tally import Tally
from spark_job.runner.drain_file import drain_ends
from spark_job.runner.job_run import job_run
from spark_job.runner.progress import write_progress
from spark_job.runner.results.shape import in_shape
from spark_job.runner.spark_errors import cause_of
from spark_job.runner.structured.job import batch_of
from spark_job.runner.structured.opening import open_rows
from spark_job.runner.structured.stream import spark_settings
from spark_job.runner.watch import LOOK_EVERY_S
from spark_job.source import register
from spark_job.source.bridges import Bridges
from spark_job.source.partitions import plan_batch

if TYPE_CHECKING:
    from threading import Event

    from pyspark.sql import SparkSession

    from spark_job.ranges import LogRange
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.structured.job import StructuredJob


def run_bounded(job: StructuredJob, settings: JobSettings, options: JobOptions, stop: Event) -> Tally:
    """Run a job over the range that ``settings.drain_to_file`` ends; return the tally of its lines.

    Raises:
        OptionError: a setting cannot be used.
        JobFolderError: the job folder does not belong to these settings.
        SparkJobError: any other subclass says why the job died.
    """
    with job_run(job.name, settings, job.fingerprint(settings, options), job.options, stop, checkpoint=False) as run:
        folder, spark = run.folder, run.start_spark(spark_settings(job))
        register(spark)
        if job.lazy:
            job.rows(batch_of(spark, job.source, job.source_options(settings, options)), options)
        ends = wait_for_end(settings, folder, stop)
        if ends is None:
            report(folder, "stopped")
            return Tally()
        report(folder, "draining")
        try:
            tally = compute(job, settings, options, folder, spark, ends, stop)
        except PySparkException as error:
            raise cause_of(error) from error
        folder.write_tally(tally.as_json())
        report(folder, "stopped", ends, tally)
    return tally


def wait_for_end(settings: JobSettings, folder: JobFolder, stop: Event) -> dict[str, int] | None:
    """Return the offsets at which the range ends, once the file has them; None if a stop is requested first."""
    while (ends := drain_ends(settings.drain_to_file)) is None:
        report(folder, "running")
        if stop.wait(LOOK_EVERY_S):
            return None
    return ends


def compute(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    ends: dict[str, int],
    stop: Event,
) -> Tally:
    """Store and show the results of the range up to ``ends``; return the tally of its lines."""
    given = job.source_options(settings, options) | {"startingOffsets": "earliest"}
    ranges = ranges_up_to(job, ends, given)
    # Fixed from here on: retention may delete lines meanwhile, and the audit is compared with exactly this range.
    given["startingOffsets"] = json.dumps({each.log_id: each.start for each in ranges})
    lines = batch_of(spark, job.source, given, json.dumps({each.log_id: each.end for each in ranges}))
    # Read every line now. Spark would read only the columns and lines that the job's function needs, and run a source
    # twice for a function that uses it twice; either way the audit would not cover the range once.
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
    with open_rows(job, settings, options, folder, result, shape) as results:
        # The whole result replaces that of an earlier run, so it needs no number to be recognised by.
        results.replace_all(rows)
        hits = results.counted(now=True)
        late = None if job.sums else 0
        if hits is None:
            tally = Tally(read, lost, malformed, late, hits=read - malformed)
        else:
            tally = Tally(read, lost, malformed, late, hits=hits, windows_per_line=lateness.per_line)
        results.show(rows, tally)
        dropped = DeadLetters(folder.audit, folder.dead_letters).clear_audit(ends)
        if dropped:
            results.table.add_dropped_dead_letters(dropped)
    return tally


def ranges_up_to(job: StructuredJob, ends: dict[str, int], given: dict[str, str]) -> list[LogRange]:
    """Return the range to read of each log."""
    flume = job.flume_options(given | {"endingOffsets": json.dumps(ends)})
    with closing(Bridges(flume)) as bridges:
        wholes = {partition.part.whole for partition in plan_batch(flume, bridges)}
    return sorted(wholes, key=lambda each: each.log_id)


def report(folder: JobFolder, state: str, positions: dict[str, int] | None = None, tally: Tally | None = None) -> None:
    """Write ``progress.json``."""
    write_progress(folder.progress, state, positions=positions or {}, tally=tally or Tally())
