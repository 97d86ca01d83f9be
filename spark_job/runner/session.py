"""The Spark session of a job: started quietly, with the settings that streaming needs and few people know.

What the Java side prints goes into two files: ``spark.log`` (its log, rolled) and ``java.log`` (what it prints past
the log, such as a crash; begun anew at each start). The job's own standard output and error stay clean.
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

# A checkpoint is bound to its number of shuffle partitions. Each costs a task and a state file in every batch, so few
# of them make small batches quick.
SHUFFLE_PARTITIONS = 2
STDERR = 2

# A job's heap is small and its batches are short. The default collector, made for large heaps, ran threads of its own
# beside the tasks: on two cores up to two fifths of Java's processor time in a job's first minute. It would collect the
# whole heap four times while Spark loads its classes, only because they are more than 21 MB.
COLLECTOR = "-XX:+UseParallelGC -XX:MetaspaceSize=192m"

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": str(SHUFFLE_PARTITIONS),
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # A batch without rows would only move the watermark, which the next batch with rows does as well.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    # The default one starts the program readlink for every file that it touches, about twenty times a batch, wherever
    # Hadoop's native library is missing, which is everywhere with Spark from PyPI.
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # Pages of an aggregation in Java's heap. A roll-up is a few thousand rows. By default pages are up to 64 MB, and
    # each task takes several: a collection that found them in use copied 200 MB for 0.36 s.
    "spark.buffer.pageSize": "2m",
    "spark.sql.streaming.minBatchesToRetain": "10",
    # The poll of an idle query costs a round trip to the bridges.
    "spark.sql.streaming.pollingDelay": "50ms",
    "spark.sql.streaming.stopTimeout": "30s",
    "spark.sql.streaming.numRecentProgressUpdates": "5",
}


@dataclass(frozen=True)
class SessionSettings:
    """What differs between jobs.

    Attributes:
        app_name: as Spark's own pages show it.
        log_folder: where spark.log and java.log go.
        master: Spark's master URL.
        driver_memory: the Java heap of the driver, which is all there is with a local master.
        compile_lightly: keep Java from optimising hard. For jobs whose heavy work is done outside Java: on two cores it
            saved a third of the processor time up to the first result, and no batch got slower for it.
        more: further settings of Spark.
    """

    app_name: str
    log_folder: Path
    master: str = "local[*]"
    driver_memory: str = "1g"
    compile_lightly: bool = False
    more: Mapping[str, str] = field(default_factory=dict)


def start_session(settings: SessionSettings) -> SparkSession:
    """Start Spark. There is one session in a process; ``stop`` it in the end.

    Raises:
        QueryFailed: Java is missing or Spark does not start.
    """
    settings.log_folder.mkdir(parents=True, exist_ok=True)
    # Without this the workers are whatever python3 the PATH has, which lacks our packages.
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
        raise QueryFailed(
            f"Spark does not start; is Java 17 or newer installed? {java_log} has what it said"
        ) from error


def operators_choice() -> set[str]:
    """Return the names of the settings that ``spark-defaults.conf`` has; Spark reads the values itself."""
    folder = os.environ.get("SPARK_CONF_DIR")
    if not folder:
        return set()
    try:
        lines = (Path(folder) / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    # A name ends at the first blank, colon or equals sign, as in any properties file.
    names = (re.split(r"[\s:=]", line.strip(), maxsplit=1)[0] for line in lines)
    return {name for name in names if name and not name.startswith(("#", "!"))}


def stop_session(spark: SparkSession) -> None:
    """Stop Spark, also when its Java process is gone already: then there is nothing left to stop."""
    try:
        spark.stop()
    except (Py4JError, ConnectionError):
        return


@contextmanager
def _standard_error_into(path: Path) -> Iterator[None]:
    """Give programs that are started in the block ``path`` as their standard error."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
