"""Opens the results of a structured job, and the ledger of its lines."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql.pandas.types import to_arrow_schema

from spark_job.accounting.ledger import Ledger
from spark_job.runner.bridge_positions import first_offset
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.url_counts import UrlCountResults
from spark_job.runner.spark_errors import cause_of
from spark_job.runner.structured.job import stream_of
from spark_job.runner.structured.take_over import take_over_totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.job_settings import JobOptions, JobSettings
    from spark_job.runner.results.shape import ResultShape
    from spark_job.runner.structured.job import StructuredJob
    from spark_job.source.bridges import Bridges


def open_results(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    spark: SparkSession,
    bridges: Bridges,
) -> UrlCountResults | RowResults:
    """Open the results of a live job, complete and with what a version before kept elsewhere.

    Raises:
        JobFolderError: the table lacks micro-batches that a version before stored, or another version made it.
        OptionError: a sink cannot be used, or a table in a database belongs to another job.
        SparkJobError: Spark refuses the job's function.
    """
    if job.url_counting is not None and job.keeps_url_counts(settings):
        return UrlCountResults(
            folder.counts,
            job.url_counting(options),
            folder.audit,
            lambda table: (settings.open_sink(sink, table) for sink in settings.sinks),
        )
    try:
        # Nothing runs here: only the columns of the result are asked for.
        result = job.rows(stream_of(spark, job.source, job.source_options(settings, options)), options)
        shape = job.shape_of(result, options)
    except PySparkException as error:
        raise cause_of(error) from error
    with ExitStack() as opened:
        results = opened.enter_context(open_rows(job, settings, options, folder, result, shape))
        before = make_ledger(job, settings, options, folder, bridges, {})
        take_over_totals(folder, results.table, before, sums=bool(job.sums))
        results.catch_up()
        opened.pop_all()
    return results


def open_rows(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    result: DataFrame,
    shape: ResultShape,
) -> RowResults:
    """Open the results of a job that stores rows.

    Raises:
        OptionError: a table in a database does not fit.
    """
    return RowResults(
        folder.root,
        job.name,
        to_arrow_schema(result.schema, timezone="UTC"),
        shape,
        settings.sinks,
        databases=settings.databases(),
        adopt=settings.adopt_table,
        top=settings.top,
        counted=job.counted,
        sums=job.sums,
        windows_per_line=job.lateness(options).per_line,
    )


def make_ledger(
    job: StructuredJob,
    settings: JobSettings,
    options: JobOptions,
    folder: JobFolder,
    bridges: Bridges,
    starts: Mapping[str, int],
    results: UrlCountResults | RowResults | None = None,
) -> Ledger:
    """Return what accounts for the lines of a query that begins at ``starts``.

    Args:
        job: the job.
        settings: of the job.
        options: of the job.
        folder: of the job.
        bridges: say where a log begins that is not in ``starts``.
        starts: log id to offset.
        results: of a job whose rows are sums; they say which lines are too old.
    """
    return Ledger(
        folder.checkpoint,
        folder.audit,
        job.lateness(options),
        lambda log_id: starts[log_id] if log_id in starts else first_offset(bridges, settings.consumer, log_id),
        allow_loss=settings.allow_data_loss,
        closed_before_us=results.table.closed_before_us if results is not None and job.sums else None,
    )
