"""Your own Spark program over the bridges: requests and errors of each host, as a stream.

    python examples/own_spark_program.py 127.0.0.1:4142 --consumer hosts --checkpoint checkpoints/hosts

It reads the parsed lines as they arrive, and prints the hosts of each micro-batch. Every query has its own consumer
name: the bridges keep lines for it until it has committed them. With ``--once`` it reads what is there and ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 -- the name that every user of Spark knows

from spark_job.source import register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame


def requests_by_host(lines: DataFrame) -> DataFrame:
    """Return requests and errors of each host; the same function for a stream and for a table."""
    return (
        lines.where("error IS NULL")
        .groupBy("host")
        .agg(F.count("*").alias("requests"), F.count_if(F.col("status") >= 400).alias("errors"))
    )


def show(hosts: DataFrame, batch: int) -> None:
    """Print the changed hosts of one micro-batch, those with most requests first."""
    print(f"micro-batch {batch}")
    for row in hosts.orderBy(F.desc("requests"), "host").limit(5).collect():
        print(f"{row.requests:6,} requests {row.errors:4,} errors  {row.host}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Count until Ctrl-C, or once."""
    parser = argparse.ArgumentParser(description="Count requests and errors of each host.")
    parser.add_argument("bridges", help="the bridges' Flight addresses: host:port,host:port")
    parser.add_argument("--consumer", default="hosts", help="the name under which the bridges keep our place")
    parser.add_argument("--checkpoint", default="checkpoints/hosts", help="Spark's folder for this query")
    parser.add_argument("--once", action="store_true", help="read what is there, then end")
    given = parser.parse_args(arguments)

    # Spark starts its workers with the first python3 of the PATH unless told otherwise.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # A stream keeps its state in as many parts as this says, 200 by default: far too many for one machine.
    builder = SparkSession.builder.appName("hosts").config("spark.sql.shuffle.partitions", 2)
    spark = builder.getOrCreate()
    register(spark)
    lines = spark.readStream.format("access_log").options(bridges=given.bridges, consumer=given.consumer).load()
    trigger = {"availableNow": True} if given.once else {"processingTime": "1 second"}
    query = (
        requests_by_host(lines)
        .writeStream.outputMode("update")
        .option("checkpointLocation", given.checkpoint)
        .trigger(**trigger)
        .foreachBatch(show)
        .start()
    )
    query.awaitTermination()


if __name__ == "__main__":
    main()
