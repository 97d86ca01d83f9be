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

from spark_job.runner.session import SessionSettings, start_session, stop_session
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
        ours = name == HEADRACE
        query = _ours(spark, source, events // BATCHES, folder / "audit") if ours else _native(spark, source)
        json.dump(_measure(query, folder / "checkpoint", events), sys.stdout)
    finally:
        stop_session(spark)


def _ours(spark: SparkSession, address: str, batch: int, audit: Path) -> DataFrame:
    options = {
        "bridges": address,
        "consumer": "benchmark",
        "maxEventsPerTrigger": str(batch),
        "rollup": "1 hour",
        "audit": str(audit),
    }
    lines = spark.readStream.format("access_log").options(**options).load()
    return count_urls(lines, WINDOW, WINDOW, WATERMARK)


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


def _measure(counts: DataFrame, checkpoint: Path, events: int) -> dict[str, float]:
    """Run a query over all that is there; return lines a second of its warm micro-batches, and the lines it counted."""
    latest: dict[tuple[object, object], int] = {}
    ended_s: list[float] = []

    def keep(batch: DataFrame, _batch_id: int) -> None:
        table = batch.select("window_start", "url", "hits").toArrow()
        columns = (table[name].to_pylist() for name in ("window_start", "url", "hits"))
        latest.update(((start, url), hits) for start, url, hits in zip(*columns, strict=True))
        ended_s.append(time.perf_counter())

    query = (
        counts.writeStream.outputMode("update")
        .option("checkpointLocation", str(checkpoint))
        .trigger(availableNow=True)
        .foreachBatch(keep)
        .start()
    )
    query.awaitTermination()
    counted = sum(latest.values())
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
