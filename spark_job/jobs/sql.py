"""The job ``sql``: answers a streaming SQL query over the views ``access_log`` and ``flume``.

==============  =============================================  ========================================================
the query       output mode                                    what the table, the file and the database hold
==============  =============================================  ========================================================
aggregates      ``complete``: after each batch, all rows       the answer of the query over all lines so far
                ``update``, with ``--key``: rows that changed  the newest row of each key
does not        ``append``: rows are final as they come        every row, once
==============  =============================================  ========================================================

``access_log`` has the lines that parse; ``flume`` has every event unchanged. A wrong query is refused in one sentence
that names the line and column (:mod:`spark_job.jobs.sql_errors`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, cast

from pyspark.errors import PySparkException
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows
from pyspark.sql.types import ArrayType, BinaryType, MapType, VariantType

from headrace.common.durations import spark_interval
from spark_job.accounting.lateness import NeverLate
from spark_job.errors import OptionError
from spark_job.jobs.options import SqlOptions
from spark_job.jobs.sql_errors import refusal_of
from spark_job.runner.results.shape import ROW_NUMBER, ResultShape
from spark_job.runner.structured.job import StructuredJob

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructField

    from spark_job.runner.job_settings import JobSettings

VIEWS = {"access_log": "time", "flume": "received"}
"""Each view and its time column."""


def ask(lines: DataFrame, options: SqlOptions) -> DataFrame:
    """Return the answer of the query over its view, with columns that can be stored.

    Raises:
        OptionError: the query is wrong, or a stream cannot answer it.
    """
    spark, view = lines.sparkSession, view_of(options.query)
    if lines.isStreaming and options.watermark is not None:
        lines = lines.withWatermark(VIEWS[view], spark_interval(options.watermark))
    lines.createOrReplaceTempView(view)
    try:
        # Parsed as a query first: spark.sql would also execute commands such as DROP TABLE.
        spark._jsparkSession.sessionState().sqlParser().parseQuery(options.query)  # noqa: SLF001 -- not in Python's API
        answer = spark.sql(options.query)
        names = answer.columns
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise OptionError(f"query: two columns are called {twice[0]}; rename one with AS")
        if lines.isStreaming:
            _check_streams(answer, options)
        return answer.select([_storable(field) for field in answer.schema.fields])
    except PySparkException as error:
        raise refusal_of(error, options.query) from None


def view_of(query: str) -> str:
    """Return the view that a query reads; ``access_log`` if it names none.

    Raises:
        OptionError: it names both.
    """
    named = [view for view in VIEWS if re.search(rf"\b{view}\b", query, re.IGNORECASE)]
    if len(named) > 1:
        raise OptionError("query: it names access_log and flume; a query can read only one of them")
    return named[0] if named else "access_log"


def shape_of(answer: DataFrame, options: SqlOptions) -> ResultShape:
    """Return how an answer is stored; see the table above.

    Raises:
        OptionError: the key names a column that the query does not have.
    """
    key = tuple(name.strip() for name in options.key.split(",") if name.strip())
    unknown = [name for name in key if name not in answer.columns]
    if unknown:
        raise OptionError(
            f"--key {options.key}: the query has no column {unknown[0]}; it has {', '.join(answer.columns)}"
        )
    ordered, mode = _has(answer, "Sort"), _mode(answer, options)
    return (
        ResultShape(key, mode, ordered=ordered)
        if key
        else ResultShape((ROW_NUMBER,), mode, numbered=True, ordered=ordered)
    )


def _mode(answer: DataFrame, options: SqlOptions) -> Literal["update", "append", "complete"]:
    if not _has(answer, "Aggregate") and not _has(answer, "Distinct"):
        return "append"
    return "update" if options.key else "complete"


def _analyzed(answer: DataFrame) -> Any:
    return answer._jdf.queryExecution().analyzed()  # noqa: SLF001 -- Python has no plans


def _plan(answer: DataFrame) -> str:
    return str(_analyzed(answer).treeString())


def _has(answer: DataFrame, node: str) -> bool:
    """Say whether the plan has a node of this name."""
    return re.search(rf"^[\s:+\-~!']*(?:Global)?{node}\b", _plan(answer), re.MULTILINE) is not None


def _check_streams(answer: DataFrame, options: SqlOptions) -> None:
    """Refuse what a stream cannot answer, before the query starts: only here is the place in the text known."""
    streams = len(re.findall(r"StreamingRelation", _plan(answer)))
    if streams == 0:
        raise OptionError("query: it reads neither access_log nor flume")
    if streams > 1:
        raise OptionError("query: it reads its view more than once, which a stream cannot; with --once it can")
    if _has(answer, "Limit") and not _has(answer, "Aggregate"):
        raise OptionError("query: a stream has no end that LIMIT could count to; leave LIMIT out, or use --once")
    sql = cast("Any", answer.sparkSession._jvm).org.apache.spark.sql  # noqa: SLF001 -- Python has no such check
    mode = getattr(sql.streaming.OutputMode, _mode(answer, options).capitalize())()
    sql.catalyst.analysis.UnsupportedOperationChecker.checkForStreaming(_analyzed(answer), mode)


def _storable(field: StructField) -> Column:
    """Return a column in a form that databases and JSON can hold: collections as JSON text, bytes as text."""
    column = F.col(f"`{field.name.replace('`', '``')}`")
    if isinstance(field.dataType, ArrayType | MapType | VariantType):
        return F.to_json(column).alias(field.name)
    if isinstance(field.dataType, BinaryType):
        return F.decode(column, "UTF-8").alias(field.name)
    return column


class Sql(StructuredJob):
    """The job; its query decides which view, and so which source, it reads."""

    def check(self, settings: JobSettings, options: Any) -> None:
        """Refuse what the source or the parser would refuse; Spark checks the query itself later."""
        for_query(options).check(settings, options)

    def resolved(self, options: Any) -> StructuredJob:
        """Return the job that reads the view of the query."""
        return for_query(options)


def for_query(options: SqlOptions) -> StructuredJob:
    """Return the job that answers one query: its source is the view that the query names."""
    view = view_of(options.query)
    return StructuredJob(
        name="sql",
        options=SqlOptions,
        rows=ask,
        key=(),
        counted="",
        lateness=lambda _options: NeverLate(),
        source=view,
        time=VIEWS[view],
        output_mode="complete",
        shape=shape_of,
        lazy=True,
    )


JOB = Sql(
    name="sql", options=SqlOptions, rows=ask, key=(), counted="", lateness=lambda _options: NeverLate(), lazy=True
)
