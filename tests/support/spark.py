"""One Spark session for all tests of a run: quiet, small, and with its files in a temporary folder."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import SparkSession

from spark_job.runner.session import COLLECTOR, SETTINGS
from spark_job.source import register

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with both sources registered; the settings are those of the jobs."""
    folder = tmp_path_factory.mktemp("spark")
    # Without this the workers are whatever python3 the PATH has.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    log4j = files("spark_job").joinpath("log4j2.properties")
    builder = SparkSession.builder.appName("tests").master("local[2]")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    session = (
        builder.config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.local.dir", str(folder / "local"))
        .config(
            "spark.driver.extraJavaOptions",
            f"-Dlog4j2.configurationFile=file:{log4j} -Dheadrace.spark.log={folder / 'spark.log'} {COLLECTOR}",
        )
        .getOrCreate()
    )
    register(session)
    yield session
    session.stop()
