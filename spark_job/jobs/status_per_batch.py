"""The job ``status-per-batch``: counts answers by status, of bots and of people, in each batch separately.

No state passes from one batch to the next. ``transform`` exposes the RDD of a batch, which can do things that a DStream
cannot: here, send the list of known bots to each executor once, as a broadcast variable. The variable is looked up in
each batch, because a checkpoint keeps functions but no broadcast variables.

Bounded run: one row for each batch, visitor and status.
"""

from __future__ import annotations

from functools import lru_cache
from operator import add
from pathlib import Path  # noqa: TC003 -- pydantic reads the annotation when the program runs
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field

from spark_job.errors import OptionError
from spark_job.runner.dstreams.decoder import AccessLines, rows_of
from spark_job.runner.dstreams.job import DStreamJob
from spark_job.runner.dstreams.options import BatchOptions

if TYPE_CHECKING:
    from pyspark import Broadcast, SparkContext
    from pyspark.core.rdd import RDD
    from pyspark.streaming.dstream import DStream

    from spark_job.runner.job_settings import JobSettings

KNOWN_BOTS = ("bot", "crawler", "spider", "slurp", "feedfetcher", "facebookexternalhit")


class StatusOptions(BatchOptions):
    """Options of the job: which user agents are bots."""

    bots: Path | None = Field(None, description="File with a part of a bot's user agent in each line.")


def status_per_batch(tables: DStream[Any], options: StatusOptions) -> DStream[tuple[str, int, int]]:
    """Count answers by visitor and status."""
    return (
        tables.flatMap(rows_of)
        .filter(lambda line: line.status is not None)
        .transform(lambda lines: by_visitor(lines, options.bots))
        .reduceByKey(add)
        .map(lambda count: (*count[0], count[1]))
    )


def by_visitor(lines: RDD[Any], bots: Path | None) -> RDD[tuple[tuple[str, int], int]]:
    """Tell bots from people by the broadcast list."""
    known = broadcast_bots(lines.context, bots)
    return lines.map(lambda line: ((visitor(line.agent or "", known.value), line.status), 1))


def visitor(agent: str, bots: tuple[str, ...]) -> str:
    """Return ``bot`` if the user agent contains a part of the list, else ``person``."""
    return "bot" if any(part in agent.lower() for part in bots) else "person"


@lru_cache(maxsize=1)
def broadcast_bots(context: SparkContext, path: Path | None) -> Broadcast[tuple[str, ...]]:
    """Send the list to the executors, once per context."""
    return context.broadcast(read_bots(path))


def read_bots(path: Path | None) -> tuple[str, ...]:
    """Return the parts of bots' user agents, in lower case.

    Raises:
        OptionError: the file cannot be read.
    """
    if path is None:
        return KNOWN_BOTS
    try:
        lines = path.read_text(encoding="utf-8").lower().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--bots={str(path)!r}: cannot be read: {error}") from None
    return tuple(line.strip() for line in lines if line.strip())


def decoder(settings: JobSettings, options: StatusOptions) -> AccessLines:
    """Return the decoder for status and user agent.

    Raises:
        OptionError: the list of bots cannot be read.
    """
    read_bots(options.bots)
    return AccessLines(("status", "agent"), settings.log_format, settings.url, settings.timezone)


JOB = DStreamJob(
    name="status-per-batch",
    options=StatusOptions,
    kind="batch",
    decoder=decoder,
    rows=status_per_batch,
    columns={"visitor": pa.string(), "status": pa.int32(), "hits": pa.int64()},
    key=("visitor", "status"),
)
