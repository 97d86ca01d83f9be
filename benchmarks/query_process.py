"""One of the two queries that are compared, in its own process and Spark; prints one JSON object."""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - the name that every user of Spark knows

from spark_job.accounting.ledger import LedgerEntry
from spark_job.ranges import LogRange
from spark_job.runner.session import SessionSettings, start_session, stop_session
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.source import register
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

HEADRACE = "headrace"
SPARK_SQL = "spark-sql"
BATCHES = 8
WARM_UP_BATCHES = 3
WINDOW = timedelta(hours=1)
WATERMARK = timedelta(days=30)
"""Longer than the corpus, whose repetitions jump back in time: both queries are to count every line."""
COMBINED = r'^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) ([^ ?"]+)[^"]*" (\d{3}) (\d+|-)'
TIME = "dd/MMM/yyyy:HH:mm:ss Z"


def main() -> None:
    """``query_process headrace|spark-sql SOURCE FOLDER EVENTS``: the source is an address or a folder."""
    name, source, folder, events = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    # Each with the Java that suits it: the job asks for light compiling, regular expressions in Java want all.
    settings = SessionSettings("headrace benchmark", folder, driver_memory="4g", compile_lightly=name == HEADRACE)
    spark = start_session(settings)
    try:
        register(spark)
        if name == HEADRACE:
            lines = _lines(spark, source, events // BATCHES, folder / "audit")
            with CountsTable(folder / "counts.db") as table:
                sums = TableOfSums(table)
                figures = _measure(lines, "append", sums, folder / "checkpoint", events)
        else:
            figures = _measure(_native(spark, source), "update", LatestRows(), folder / "checkpoint", events)
        json.dump(figures, sys.stdout)
    finally:
        stop_session(spark)


def _lines(spark: SparkSession, address: str, batch: int, audit: Path) -> DataFrame:
    """Return the lines as the job ``url-counts`` reads them: added up per hour and URL by the readers."""
    options = {
        "bridges": address,
        "consumer": "benchmark",
        "maxEventsPerTrigger": str(batch),
        "rollup": "1 hour",
        "audit": str(audit),
    }
    return spark.readStream.format("access_log").options(**options).load()


def _native(spark: SparkSession, folder: str) -> DataFrame:
    lines = spark.readStream.option("maxFilesPerTrigger", 1).text(folder)
    fields = lines.select(
        F.to_timestamp(F.regexp_extract("value", COMBINED, 2), TIME).alias("time"),
        F.regexp_extract("value", COMBINED, 4).alias("url"),
        F.regexp_extract("value", COMBINED, 5).cast("int").alias("status"),
        F.regexp_extract("value", COMBINED, 6).try_cast("long").alias("bytes"),
        F.regexp_extract("value", COMBINED, 1).alias("error"),
    ).where("url != ''")
    return count_urls(fields.withColumn("error", F.lit(None)), WINDOW, WINDOW, WATERMARK)


class TableOfSums:
    """Adds each micro-batch to the results table, as the job does: one transaction that waits for the disk."""

    def __init__(self, table: CountsTable) -> None:
        self._table = table
        self._reached = 0

    def take(self, lines: DataFrame, batch_id: int) -> None:
        """Add the sums of a micro-batch up."""
        sums = count_urls(lines, WINDOW, WINDOW).toArrow()
        hits = sum(sums["hits"].to_pylist())
        read = (LogRange("log", self._reached, self._reached + hits),)
        self._reached += hits
        self._table.record(LedgerEntry("benchmark", batch_id, read, 0, 0, 0, 0, 0, 0), sums)

    def counted(self) -> int:
        """Return the lines of all rows."""
        return self._table.tally().counted


class LatestRows:
    """Keeps the newest rows of a query whose state Spark keeps, in memory."""

    def __init__(self) -> None:
        self._latest: dict[tuple[object, object], int] = {}

    def take(self, changed: DataFrame, _batch_id: int) -> None:
        """Replace the rows that a micro-batch changed."""
        table = changed.select("window_start", "url", "hits").toArrow()
        columns = (table[name].to_pylist() for name in ("window_start", "url", "hits"))
        self._latest.update(((start, url), hits) for start, url, hits in zip(*columns, strict=True))

    def counted(self) -> int:
        """Return the lines of all rows."""
        return sum(self._latest.values())


def _measure(
    frame: DataFrame, mode: str, results: TableOfSums | LatestRows, checkpoint: Path, events: int
) -> dict[str, float]:
    """Run a query over all that is there; return lines a second of its warm micro-batches, and the lines it counted."""
    ended_s: list[float] = []

    def take(batch: DataFrame, batch_id: int) -> None:
        results.take(batch, batch_id)
        ended_s.append(time.perf_counter())

    query = (
        frame.writeStream.outputMode(mode)
        .option("checkpointLocation", str(checkpoint))
        .trigger(availableNow=True)
        .foreachBatch(take)
        .start()
    )
    query.awaitTermination()
    counted = results.counted()
    if not 0.99 * events < counted <= events:
        raise RuntimeError(f"{counted} of {events} lines were counted: the two would not be compared fairly")
    warm_s = [end - begin for begin, end in pairwise(ended_s[WARM_UP_BATCHES - 1 : BATCHES])]
    lines = events // BATCHES
    return {
        "rate": lines / statistics.median(warm_s),
        "slowest": lines / max(warm_s),
        "fastest": lines / min(warm_s),
        "counted": counted,
    }


if __name__ == "__main__":
    main()
