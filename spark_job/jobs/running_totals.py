"""The job ``running-totals``: adds up hits and bytes of each URL since the start, in both APIs.

``updateStateByKey`` calls a function for every known key in every batch, so its cost grows with the number of keys;
keys can therefore expire (``--expire``). Totals can start from an earlier run (``--initial``, a file that ``--out``
wrote).

In Structured Streaming the same is an aggregation of each micro-batch, whose sums the results table adds up: it touches
only the keys of a batch, and Spark keeps no state. It is the default for that reason, and because its API is still
developed. It never forgets a key and always starts empty.

Bounded run: one row for each URL.
"""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 -- pydantic reads the annotation when the program runs
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import pyarrow as pa
from pydantic import Field
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from spark_job.accounting.lateness import NeverLate
from spark_job.errors import OptionError
from spark_job.jobs.both_apis import EitherApi
from spark_job.options.model import Flag, Length, choice_of
from spark_job.runner.dstreams.decoder import AccessLines, rows_of
from spark_job.runner.dstreams.direct_stream import beginning_with
from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.dstreams.options import BatchOptions
from spark_job.runner.structured.job import StructuredJob

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.streaming.dstream import DStream

    from spark_job.runner.job_settings import JobSettings


class TotalsOptions(BatchOptions):
    """Options of the job: the API, and how the state of the classic one starts and expires."""

    api: Annotated[str, choice_of("structured", "dstream")] = Field("structured", description="structured or dstream.")
    expire: Annotated[Length | None, Flag(shown_default="never")] = Field(
        None, description="With --api dstream: forget URLs without requests for so long; they restart at zero."
    )
    initial: Path | None = Field(None, description="With --api dstream: JSON lines of url, hits, bytes to begin with.")


class Total(NamedTuple):
    """The state of one URL; ``idle`` counts the batches since its last request."""

    hits: int
    bytes: int
    idle: int = 0


def totals_of_dstream(tables: DStream[Any], options: TotalsOptions) -> DStream[tuple[str, int, int]]:
    """Add up by URL; each batch emits the totals that it changed."""
    longest = options.expire // options.batch_interval if options.expire is not None else None
    hits = tables.flatMap(rows_of).map(lambda line: (line.url, Total(1, line.bytes or 0))).reduceByKey(plus)
    totals: DStream[Any] = beginning_with(hits, read_totals(options.initial)).updateStateByKey(
        lambda new, total: updated(list(new), total, longest)
    )
    return totals.filter(lambda total: total[1].idle == 0).map(lambda total: (total[0], total[1].hits, total[1].bytes))


def plus(one: Total, other: Total) -> Total:
    """Add two totals."""
    return Total(one.hits + other.hits, one.bytes + other.bytes)


def updated(new: list[Total], total: Total | None, longest: int | None) -> Total | None:
    """Return the state of a URL after a batch; None deletes it."""
    if not new and total is not None:
        idle = total._replace(idle=total.idle + 1)
        return None if longest is not None and idle.idle > longest else idle
    for each in new:
        total = each if total is None else plus(total, each)
    return total


def totals_of_lines(lines: DataFrame, _options: TotalsOptions) -> DataFrame:
    """Add up by URL."""
    return lines.groupBy("url").agg(F.count("*").alias("hits"), F.sum(F.coalesce("bytes", F.lit(0))).alias("bytes"))


def read_totals(path: Path | None) -> list[tuple[str, Total]]:
    """Return the totals of a file.

    Raises:
        OptionError: the file holds something else, or cannot be read.
    """
    if path is None:
        return []
    try:
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        return [(str(row["url"]), Total(int(row["hits"]), int(row["bytes"]))) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"--initial={str(path)!r}: no JSON lines with url, hits and bytes: {error}") from None


def decoder(settings: JobSettings, options: TotalsOptions) -> AccessLines:
    """Return the decoder for URL and size.

    Raises:
        OptionError: the file of initial totals cannot be used.
    """
    read_totals(options.initial)
    return AccessLines(("url", "bytes"), settings.log_format, settings.url, settings.timezone)


JOB = EitherApi(
    dstream=DStreamJob(
        name="running-totals",
        options=TotalsOptions,
        kind="state",
        decoder=decoder,
        rows=totals_of_dstream,
        columns={"url": pa.string(), "hits": pa.int64(), "bytes": pa.int64()},
        key=("url",),
    ),
    structured=StructuredJob(
        name="running-totals",
        options=TotalsOptions,
        rows=totals_of_lines,
        key=("url",),
        counted="hits",
        lateness=lambda _options: NeverLate(),
        sums=("hits", "bytes"),
    ),
    dstream_only={
        "expire": "an aggregation keeps its keys; the job sensors shows a state with timers",
        "initial": "an aggregation begins with nothing",
    },
)
