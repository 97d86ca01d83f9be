"""Starts and stops the Spark session of a job, with the less known settings that streaming needs.

The output of Java goes into two files: ``spark.log`` (Spark's log, rolled) and ``java.log`` (whatever bypasses the log,
such as a crash; overwritten at each start). The job's own standard output and error stay clean.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from spark_job.errors import QueryFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A checkpoint is bound to its number of shuffle partitions. Each costs a task and a state file in every micro-batch, so
# small micro-batches are fast with few of them.
SHUFFLE_PARTITIONS = 2
STDERR = 2

# A job's heap is small and its micro-batches are short. The default collector is made for large heaps: its threads took
# up to two fifths of Java's processor time in a job's first minute, on two cores. It would also collect the whole heap
# four times while Spark loads its classes, only because these exceed 21 MB (the initial MetaspaceSize).
COLLECTOR = "-XX:+UseParallelGC -XX:MetaspaceSize=192m"

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": str(SHUFFLE_PARTITIONS),
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # A micro-batch without rows would only move the watermark, which the next micro-batch with rows does too.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    # Without Hadoop's native library, which Spark from PyPI lacks, the default manager starts the program readlink for
    # every file that it touches, about twenty times per micro-batch.
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # Pages of an aggregation in Java's heap. A roll-up has a few thousand rows, but default pages are up to 64 MB and
    # each task takes several: a collection that found them in use copied 200 MB in 0.36 s.
    "spark.buffer.pageSize": "2m",
    "spark.sql.streaming.minBatchesToRetain": "10",
    # The poll of an idle query costs a round trip to the bridges.
    "spark.sql.streaming.pollingDelay": "50ms",
    "spark.sql.streaming.stopTimeout": "30s",
    "spark.sql.streaming.numRecentProgressUpdates": "5",
}


@dataclass(frozen=True)
class SessionSettings:
    """Settings that differ between jobs.

    Attributes:
        app_name: the name on Spark's own pages.
        log_folder: folder of spark.log and java.log.
        master: Spark's master URL.
        driver_memory: the Java heap of the driver, which with a local master is the only heap.
        compile_lightly: use only Java's fast compiler. For jobs whose heavy work happens outside Java: on two cores it
            saved a third of the processor time up to the first result, and no micro-batch got slower.
        more: further settings of Spark.
    """

    app_name: str
    log_folder: Path
    master: str = "local[*]"
    driver_memory: str = "1g"
    compile_lightly: bool = False
    more: Mapping[str, str] = field(default_factory=dict)


def start_session(settings: SessionSettings) -> SparkSession:
    """Start Spark. A process has one session; end it with :func:`stop_session`.

    Raises:
        QueryFailed: Java is missing or Spark does not start.
    """
    settings.log_folder.mkdir(parents=True, exist_ok=True)
    # Otherwise the workers run the python3 of the PATH, which lacks our packages.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    log4j = files("spark_job").joinpath("log4j2.properties")
    java_options = f"-Dlog4j2.configurationFile=file:{log4j} -Dheadrace.spark.log={settings.log_folder / 'spark.log'}"
    java_options += f" {COLLECTOR}"
    if settings.compile_lightly:
        java_options += " -XX:TieredStopAtLevel=1"
    builder = SparkSession.builder.appName(settings.app_name).master(settings.master)
    builder = builder.config("spark.driver.memory", settings.driver_memory)
    builder = builder.config("spark.driver.extraJavaOptions", java_options)
    chosen = operators_choice()
    for key, value in (SETTINGS | dict(settings.more)).items():
        if key not in chosen:
            builder = builder.config(key, value)
    java_log = settings.log_folder / "java.log"
    try:
        with _standard_error_into(java_log):
            return builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise QueryFailed(f"Spark does not start; is Java 17 or newer installed? {java_log} has its output") from error


def operators_choice() -> set[str]:
    """Return the names of the settings in the operator's ``spark-defaults.conf``; Spark reads the values itself."""
    folder = os.environ.get("SPARK_CONF_DIR")
    if not folder:
        return set()
    try:
        lines = (Path(folder) / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    # As in any properties file, a name ends at the first blank, colon or equals sign.
    names = (re.split(r"[\s:=]", line.strip(), maxsplit=1)[0] for line in lines)
    return {name for name in names if name and not name.startswith(("#", "!"))}


def stop_session(spark: SparkSession) -> None:
    """Stop Spark; do nothing if its Java process has ended already."""
    try:
        spark.stop()
    except (Py4JError, ConnectionError):
        return


@contextmanager
def _standard_error_into(path: Path) -> Iterator[None]:
    """Redirect the standard error of programs that the block starts to ``path``."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
