"""A sink of your own: one CSV file for each micro-batch, exactly once.

    python examples/custom_sink.py 127.0.0.1:4142 --out counts

Spark may run a micro-batch again after a crash. The sink stays exact because the name of a file follows from the number
of its micro-batch: a repeated one replaces its own file with the same content. A file appears under its name whole or
not at all (``replacing``), so a reader of the folder never sees half a file.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from headrace.common.files import replacing
from spark_job.source import register
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame


class CsvFolder:
    """Writes the rows of each micro-batch into ``folder``, as ``NUMBER.csv``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, rows: DataFrame, batch: int) -> None:
        """Store one micro-batch; Spark goes on only if this returns."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(rows.columns)
        # toLocalIterator would fetch one partition at a time; these are counts, so there are few of them.
        writer.writerows(sorted(rows.collect()))
        with replacing(self._folder / f"{batch:08}.csv") as file:
            file.write(text.getvalue().encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Count what the bridges hold and end."""
    parser = argparse.ArgumentParser(description="Write counts of URLs as CSV files.")
    parser.add_argument("bridges", help="the bridges' Flight addresses: host:port,host:port")
    parser.add_argument("--out", type=Path, default=Path("counts"), help="folder for the files")
    parser.add_argument("--consumer", default="csv", help="the name under which the bridges keep our place")
    given = parser.parse_args(arguments)

    # Spark starts its workers with the first python3 of the PATH unless told otherwise.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # A stream keeps its state in as many parts as this says, 200 by default: far too many for one machine.
    builder = SparkSession.builder.appName("csv").config("spark.sql.shuffle.partitions", 2)
    spark = builder.getOrCreate()
    register(spark)
    lines = spark.readStream.format("access_log").options(bridges=given.bridges, consumer=given.consumer).load()
    hour = timedelta(hours=1)
    query = (
        count_urls(lines, window=hour, slide=hour, watermark=timedelta(minutes=10))
        .writeStream.outputMode("update")
        .option("checkpointLocation", str(given.out / "checkpoint"))
        .trigger(availableNow=True)
        .foreachBatch(CsvFolder(given.out))
        .start()
    )
    query.awaitTermination()


if __name__ == "__main__":
    main()
