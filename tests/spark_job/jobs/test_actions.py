"""The job ``actions`` over a folder, in this process: known numbers, each kind of malformed record, its options."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from pyspark.sql.streaming.query import StreamingQuery

from spark_job.errors import OptionError
from spark_job.jobs.actions import JOB, ActionsOptions
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.objects.job import LONGEST_RECORD
from spark_job.runner.objects.run import RECORDS_OF_A_LINE
from spark_job.sinks.database import parse_database_url, read_rows, upsert

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

GOOD = [
    {"action": "view", "time": "2026-07-01T09:59:59.999999Z"},
    {"action": "view", "time": "2026-07-01T10:00:00Z", "more": {"of": ["what", "is", "not", "asked", "for"]}},
    {"action": "view", "time": "2026-07-01T12:30:00+02:00"},
    {"action": "", "time": "2026-07-01T10:00:00Z"},
    {"action": "größe \U0001f600\u0000", "time": "0001-01-01T00:00:00Z"},
]
MALFORMED = {
    "not json": "not JSON, or a field is of another type",
    '{"action": "view", "time": "2026-07-01T10:00': "not JSON, or a field is of another type",
    '{"action": "view", "time": "yesterday"}': "not JSON, or a field is of another type",
    "[1]": "not JSON, or a field is of another type",
    '{"action": "view"}': "no time, or not a timestamp",
    '{"time": "2026-07-01T10:00:00Z"}': "no action, or not a string",
    '{"action": null, "time": "2026-07-01T11:00:00Z"}': "no action, or not a string",
    "{}": "no action, or not a string",
    '{"action": "view", "time": "+12026-07-01T10:00:00Z"}': "beyond the year 9999",
}


@pytest.mark.spark
def test_known_numbers_come_out_and_what_is_malformed_is_kept_with_its_object(
    spark: SparkSession, tmp_path: Path
) -> None:
    objects = tmp_path / "objects" / "day"
    objects.mkdir(parents=True)
    (objects / "good.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, GOOD)).encode()))
    (objects / "bad.json").write_text("".join(f"{line}\n\n" for line in [*MALFORMED, "not json"]), encoding="utf-8")
    target = parse_database_url(f"sqlite:///{tmp_path / 'results.db'}")
    reader = spark.readStream.option("recursiveFileLookup", "true")
    records = JOB.records(reader, str(tmp_path / "objects"))
    for result, table, key in JOB.results(records, ActionsOptions()):
        query = upsert(result, str(target), table, key=key, checkpoint=tmp_path / table)
        assert isinstance(query, StreamingQuery)
        query.processAllAvailable()
        query.stop()
    counts = {(row["action"], row["window_start"].isoformat()): row["count"] for row in read_rows(target, "actions")}
    assert counts == {
        ("view", "2026-07-01T09:00:00+00:00"): 1,
        ("view", "2026-07-01T10:00:00+00:00"): 2,
        ("", "2026-07-01T10:00:00+00:00"): 1,
        ("größe \U0001f600\u0000", "0001-01-01T00:00:00+00:00"): 1,
    }
    malformed = list(read_rows(target, "actions_malformed"))
    assert {row["file"].rpartition("/")[2] for row in malformed} == {"bad.json"}
    assert {row["record"]: row["count"] for row in malformed}["not json"] == 2
    assert sum(row["count"] for row in malformed) == len(MALFORMED) + 1
    assert sorted(row["reason"] for row in malformed) == sorted(MALFORMED.values())


@pytest.mark.spark
def test_batch_and_stream_are_one_function(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, GOOD)), encoding="utf-8")
    long = "x" * (LONGEST_RECORD + 100)
    (tmp_path / "b.json").write_text(f"{long}\n", encoding="utf-8")
    events, malformed = (
        result for result, _, _ in JOB.results(JOB.records(spark.read, str(tmp_path)), ActionsOptions())
    )
    assert events.agg({"count": "sum"}).first() == (len(GOOD),)
    (row,) = malformed.collect()
    assert row["record"] == long[:LONGEST_RECORD]


@pytest.mark.spark
def test_lines_stand_for_as_many_records_as_spark_makes_of_them(spark: SparkSession, tmp_path: Path) -> None:
    event = json.dumps(GOOD[0])
    lines = {
        event: 1,
        f"[{event}, {event}]": 2,
        f"[{event}, 1]": 1,
        "[1, 2]": 1,
        "[]": 0,
        "{}": 1,
        "null": 1,
        '"text"': 1,
        " \t": 0,
        "[": 1,
        f"  [ {event} ] ": 1,
        "\ufeff" + event: 1,
    }
    for number, line in enumerate(lines):
        (tmp_path / f"{number:02d}.json").write_text(f"{line}\n", encoding="utf-8")
    paths = [str(tmp_path / f"{number:02d}.json") for number in range(len(lines))]
    records = [JOB.records(spark.read, path).groupBy("file").count().collect() for path in paths]
    assert [rows[0]["count"] if rows else 0 for rows in records] == list(lines.values())
    text = spark.read.text(paths).where(r"value RLIKE '\\S'").selectExpr(f"sum({RECORDS_OF_A_LINE})")
    assert text.collect()[0][0] == sum(lines.values())


def settings(folder: Path, *sinks: str) -> JobSettings:
    return JobSettings(job_folder=folder, sinks=sinks).of_job("actions")


@pytest.mark.parametrize(
    ("options", "sinks", "said"),
    [
        ({}, (), "no objects are named; add --path s3a://bucket/prefix"),
        ({"path": "s3://bucket/x"}, (), "Spark's name for S3 is s3a"),
        ({"path": "s3a://KEY:hidden@bucket/x"}, (), "can see a key in a URL"),
        ({"path": "s3a:///x"}, (), "names no bucket"),
        ({"path": "nowhere"}, (), "the folder does not exist"),
        ({"path": "s3a://bucket", "endpoint": "localhost:9000"}, (), "--endpoint: write it like http://"),
        ({"path": "s3a://bucket", "endpoint": "http://KEY:hidden@host"}, (), "--endpoint: it must contain no key"),
        ({"path": "s3a://bucket"}, ("sqlite:///a.db", "sqlite:///b.db"), "writes into one database"),
        ({"path": "s3a://bucket"}, ("parquet:out",), "takes a database"),
        ({"path": "s3a://bucket"}, ("jsonl:out",), "takes a database; --out is for --once"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    options: dict[str, str], sinks: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError) as refused:
        JOB.check(settings(tmp_path, *sinks), ActionsOptions(**options))
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)
