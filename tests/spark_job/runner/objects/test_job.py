"""A job over JSON objects: which options decide what its results mean, and what makes a record malformed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_job.jobs.actions import JOB, ActionsOptions
from spark_job.runner.objects.job import LONGEST_RECORD

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_fingerprint_is_the_one_that_older_folders_have() -> None:
    options = ActionsOptions(path="/objects", max_files=5, s3a_jars=Path("/jars"))
    assert JOB.fingerprint(options) == {
        "job": "actions",
        "path": "/objects",
        "endpoint": "None",
        "region": "None",
        "path_style": "False",
        "files": "()",
        "window": "1h",
    }
    assert JOB.fingerprint(ActionsOptions(path="/objects")) == JOB.fingerprint(options)
    assert JOB.fingerprint(ActionsOptions(path="/other")) != JOB.fingerprint(options)


@pytest.mark.spark
def test_a_malformed_record_is_cut_and_equal_ones_are_one_row(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("\n".join(["x" * (LONGEST_RECORD + 5)] * 3 + ['{"action": "buy"}']))
    (_, name, key), (malformed, malformed_name, malformed_key) = JOB.results(
        JOB.records(spark.read, str(tmp_path)), ActionsOptions()
    )
    assert (name, key) == ("actions", ("action", "window"))
    assert (malformed_name, malformed_key) == ("actions_malformed", ("file", "digest"))
    rows = {row["reason"]: (len(row["record"]), row["count"]) for row in malformed.collect()}
    assert rows == {
        "not JSON, or a field is of another type": (LONGEST_RECORD, 3),
        "no time, or not a timestamp": (len('{"action":"buy"}'), 1),
    }
