"""Log to windows: the kit's source against the same query written in Spark SQL alone, and against GoAccess.

Both queries are streaming queries in one Spark session, over the same lines, in micro-batches of the same size, with
the same windows, watermark and sink. The first half of the micro-batches warms Java's compiler up and is not counted;
the rate is that of the second half. The kit reads from a bridge's log over Arrow Flight, Spark SQL from text files.
GoAccess, which is not a stream processor, reads the file once and sorts by URL; it stands here because people know it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow.flight as flight
from pyspark.sql import functions as F  # noqa: N812 - the name that every user of Spark knows

from avro_bridge.contract import Status
from benchmarks.frames import log_lines, write_frames
from benchmarks.receivers import bridge
from spark_job.session import SessionSettings, start_session, stop_session
from spark_job.source import register
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WINDOW = timedelta(hours=1)
WATERMARK = timedelta(days=30)
"""Longer than the corpus, whose repetitions jump back in time: both queries are to count every line."""
BATCHES = 6
WARM_UP_BATCHES = 3
COMBINED = r'^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) ([^ ?"]+)[^"]*" (\d{3}) (\d+|-)'
TIME = "dd/MMM/yyyy:HH:mm:ss Z"


def run(events: int, corpus: Path | None) -> None:
    """Measure and print."""
    print(
        f"query: {events:,} lines in {BATCHES} micro-batches, windows of 1 h; rate after {WARM_UP_BATCHES} to warm up"
    )
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        write_frames(folder / "frames", corpus, events, 5000)
        _write_lines(folder / "lines", corpus, events)
        with bridge(folder / "bridge") as receiver:
            command = [sys.executable, "-m", "benchmarks.sender", str(receiver.port), str(folder / "frames"), "1"]
            subprocess.run(command, check=True, capture_output=True)
            _keep_all(receiver.flight_port)
            spark = start_session(SessionSettings("headrace benchmark", folder / "spark", driver_memory="4g"))
            try:
                register(spark)
                _compare(spark, folder, f"127.0.0.1:{receiver.flight_port}", events)
            finally:
                stop_session(spark)
        _goaccess(folder, events)


def _compare(spark: SparkSession, folder: Path, address: str, events: int) -> None:
    kit, native = "the kit's source", "Spark SQL alone"
    queries = {
        kit: _ours(spark, address, events // BATCHES, folder / "audit"),
        native: _native(spark, folder / "lines"),
    }
    rates = {}
    for name, query in queries.items():
        rates[name], counted = _rate(query, folder / f"checkpoint of {name}", events)
        print(f"    {name:28} {rates[name]:12,.0f} lines/s   (counted {counted:,})")
    print(f"    the kit's source / Spark SQL alone     x {rates[kit] / rates[native]:4.1f}")


def _keep_all(flight_port: int) -> None:
    """Make a consumer that never commits, so that the bridge keeps everything for the next round."""
    with flight.connect(f"grpc://127.0.0.1:{flight_port}") as client:
        status = Status.from_bytes(next(client.do_action(flight.Action("status", b""))).body.to_pybytes())
        body = {"consumer": "keeper", "log_id": status.log_id, "position": "earliest"}
        list(client.do_action(flight.Action("start", json.dumps(body).encode())))


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


def _native(spark: SparkSession, folder: Path) -> DataFrame:
    lines = spark.readStream.option("maxFilesPerTrigger", 1).text(str(folder))
    fields = lines.select(
        F.to_timestamp(F.regexp_extract("value", COMBINED, 2), TIME).alias("time"),
        F.regexp_extract("value", COMBINED, 4).alias("url"),
        F.regexp_extract("value", COMBINED, 5).cast("int").alias("status"),
        F.regexp_extract("value", COMBINED, 6).try_cast("long").alias("bytes"),
        F.regexp_extract("value", COMBINED, 1).alias("error"),
    ).where("url != ''")
    return count_urls(fields.withColumn("error", F.lit(None)), WINDOW, WINDOW, WATERMARK)


def _rate(counts: DataFrame, checkpoint: Path, events: int) -> tuple[float, int]:
    """Run a query over all that is there; return its lines a second once it is warm, and the lines it counted."""
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
    seconds = ended_s[BATCHES - 1] - ended_s[WARM_UP_BATCHES - 1]
    return events * (BATCHES - WARM_UP_BATCHES) / BATCHES / seconds, counted


def _write_lines(folder: Path, corpus: Path | None, events: int) -> None:
    """Write the lines as one text file for each micro-batch, the handshake's own event aside."""
    folder.mkdir()
    lines = log_lines(corpus, events)
    for number in range(BATCHES):
        with (folder / f"part-{number}.log").open("wb") as file:
            for _ in range(events // BATCHES):
                file.write(next(lines) + b"\n")


def _goaccess(folder: Path, events: int) -> None:
    program = shutil.which("goaccess")
    if program is None:
        print("    GoAccess is not installed: apt-get install goaccess")
        return
    files = sorted(str(path) for path in (folder / "lines").iterdir())
    began_s = time.perf_counter()
    before = psutil.Process().cpu_times()
    subprocess.run(
        [program, *files, "--log-format=COMBINED", "--no-global-config", "-o", str(folder / "goaccess.json")],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    after = psutil.Process().cpu_times()
    seconds = time.perf_counter() - began_s
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"    {'GoAccess, one pass':28} {events / seconds:12,.0f} lines/s   CPU {cpu * 1e6 / events:.2f} s a million")
