"""``format("upsert")`` in a real query: batch, append and complete mode, failing tasks, and what Spark refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as f

from spark_job.errors import OptionError
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.database.spark_format import parse_upsert_options, register_upsert
from tests.support.counting import forget_newest_commit
from tests.support.results import execute, ledger_of, new_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from spark_job.sinks.database import DatabaseUrl

pytestmark = pytest.mark.spark

IN_A_FILE = pytest.mark.parametrize("target", ["sqlite"], indirect=True)
EVERYWHERE = pytest.mark.parametrize(
    "target",
    [
        "sqlite",
        pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.slow]),
        pytest.param("mariadb", marks=[pytest.mark.mariadb, pytest.mark.slow]),
    ],
    indirect=True,
)
SCHEMA = "action STRING, time TIMESTAMP"


@pytest.fixture
def options(spark: SparkSession, target: DatabaseUrl) -> dict[str, str]:
    """The options of the format, over a table of the test's own."""
    register_upsert(spark)
    options = {"url": str(target), "table": new_name(), "key": "action,window", "retryFor": "10s"}
    return options | ({"passwordFile": str(target.password_file)} if target.password_file else {})


def put(folder: Path, name: str, actions: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    events = [{"action": action, "time": "2026-07-01T09:10:00Z"} for action in actions]
    (folder / name).write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def counted(events: DataFrame) -> DataFrame:
    return events.groupBy("action", f.window("time", "1 hour")).count()


def stored(target: DatabaseUrl, table: str) -> dict[str, int]:
    return {row["action"]: row["count"] for row in read_rows(target, table)}


def staged_left(target: DatabaseUrl, options: dict[str, str]) -> int:
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE '{}_staged_%'",
        "postgresql": "SELECT tablename FROM pg_tables WHERE tablename LIKE '{}_staged_%%'",
        "mariadb": "SHOW TABLES LIKE '{}_staged_%%'",
    }[target.dialect].format(options["table"])
    (name,) = {row[0] for row in execute(target, query)}
    return int(execute(target, f"SELECT count(*) FROM {name}")[0][0])  # noqa: S608 - our own name


@EVERYWHERE
def test_a_batch_is_written_and_written_again(
    spark: SparkSession, tmp_path: Path, target: DatabaseUrl, options: dict[str, str]
) -> None:
    put(tmp_path / "in", "0.json", ["view", "buy", "view"])
    result = counted(spark.read.schema(SCHEMA).json(str(tmp_path / "in")))
    for _ in range(2):
        result.write.format("upsert").options(**options).mode("append").save()
    assert stored(target, options["table"]) == {"view": 2, "buy": 1}
    result.where("action = 'buy'").write.format("upsert").options(**options).mode("overwrite").save()
    assert stored(target, options["table"]) == {"buy": 1}
    assert staged_left(target, options) == 0


@EVERYWHERE
def test_a_complete_stream_goes_on_after_a_replay(
    spark: SparkSession, tmp_path: Path, target: DatabaseUrl, options: dict[str, str]
) -> None:
    def run() -> str:
        stream = counted(spark.readStream.schema(SCHEMA).json(str(tmp_path / "in")))
        writer = stream.writeStream.format("upsert").options(**options).outputMode("complete")
        query = writer.option("checkpointLocation", str(tmp_path / "run" / "checkpoint")).start()
        try:
            query.processAllAvailable()
            return str(query.id)
        finally:
            query.stop()

    put(tmp_path / "in", "0.json", ["view", "buy"])
    query_id = run()
    assert stored(target, options["table"]) == {"view": 1, "buy": 1}
    execute(target, f"UPDATE {options['table']} SET count = 77 WHERE action = 'buy'")  # noqa: S608 - our own name
    forget_newest_commit(tmp_path / "run")
    run()
    assert stored(target, options["table"]) == {"view": 1, "buy": 77}
    put(tmp_path / "in", "1.json", ["view"])
    run()
    assert stored(target, options["table"]) == {"view": 2, "buy": 1}
    assert ledger_of(target, query_id) == [(1, 2)]
    assert staged_left(target, options) == 0


@IN_A_FILE
def test_a_table_of_another_query_is_refused_or_adopted_by_a_new_checkpoint(
    spark: SparkSession, tmp_path: Path, target: DatabaseUrl, options: dict[str, str]
) -> None:
    def run(checkpoint: str, adopt: str = "false") -> str:
        stream = counted(spark.readStream.schema(SCHEMA).json(str(tmp_path / "in")))
        writer = stream.writeStream.format("upsert").options(**options, adopt=adopt).outputMode("complete")
        query = writer.option("checkpointLocation", str(tmp_path / checkpoint)).start()
        try:
            query.processAllAvailable()
            return str(query.id)
        finally:
            query.stop()

    put(tmp_path / "in", "0.json", ["view", "buy"])
    run("first", "true")
    said = f"the table {options['table']} belongs to the writer"
    with pytest.raises(PySparkException, match=said):
        run("second")
    batch = counted(spark.read.schema(SCHEMA).json(str(tmp_path / "in"))).write.format("upsert").options(**options)
    with pytest.raises(PySparkException, match=said):
        batch.mode("overwrite").save()
    assert staged_left(target, options) == 0
    second = run("second", "true")
    put(tmp_path / "in", "1.json", ["view"])
    with pytest.raises(PySparkException, match=f"{said} {second}"):
        run("first", "true")
    assert stored(target, options["table"]) == {"view": 1, "buy": 1}
    run("second", "true")
    assert stored(target, options["table"]) == {"view": 2, "buy": 1}
    batch.option("adopt", "true").mode("overwrite").save()
    assert stored(target, options["table"]) == {"view": 1, "buy": 1}, "of the files that were there at first"
    put(tmp_path / "in", "2.json", ["view"])
    with pytest.raises(PySparkException, match=f"the table {options['table']} belongs to a write of a batch"):
        run("second", "true")


@IN_A_FILE
def test_an_append_stream_writes_raw_rows(
    spark: SparkSession, tmp_path: Path, target: DatabaseUrl, options: dict[str, str]
) -> None:
    put(tmp_path / "in", "0.json", ["view", "buy"])
    stream = spark.readStream.schema("action STRING").json(str(tmp_path / "in"))
    writer = stream.writeStream.format("upsert").options(**options | {"key": "action"}).outputMode("append")
    query = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    assert [row["action"] for row in read_rows(target, options["table"])] == ["buy", "view"]


@IN_A_FILE
def test_a_failing_task_leaves_nothing(
    spark: SparkSession, tmp_path: Path, target: DatabaseUrl, options: dict[str, str]
) -> None:
    rows = spark.range(0, 4, 1, 2).selectExpr("id AS action", "IF(id = 3, raise_error('broken'), id) AS count")
    with pytest.raises(PySparkException, match="broken"):
        rows.write.format("upsert").options(**options | {"key": "action"}).mode("append").save()
    assert list(read_rows(target, options["table"])) == []


@IN_A_FILE
def test_spark_refuses_the_update_mode(
    spark: SparkSession, tmp_path: Path, target: DatabaseUrl, options: dict[str, str]
) -> None:
    put(tmp_path / "in", "0.json", ["view"])
    stream = counted(spark.readStream.schema(SCHEMA).json(str(tmp_path / "in")))
    writer = stream.writeStream.format("upsert").options(**options).outputMode("update")
    query = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        with pytest.raises(PySparkException, match=r"(?i)update mode"):
            query.processAllAvailable()
    finally:
        query.stop()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tabel": "x"}, "unknown option 'tabel'; did you mean 'table'"),
        ({"key": ""}, "needs the option key"),
        ({"url": "postgresql://u:secret@h/d"}, "a password in a URL"),
        ({"retryFor": "soon"}, "option retryFor='soon'"),
        ({"create": "perhaps"}, "true or false"),
        ({"adopt": "perhaps"}, "option adopt='perhaps': true or false"),
    ],
)
def test_options_that_cannot_be_used_are_refused(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    given = {"url": f"sqlite:///{tmp_path}/x.db", "table": "t", "key": "a"} | changes
    with pytest.raises(OptionError) as refused:
        parse_upsert_options(given)
    assert said in str(refused.value)


def test_options_of_the_query_are_left_to_spark(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    read = parse_upsert_options({"url": url, "table": "t", "key": "a, b", "checkpointLocation": "c", "path": "p"})
    assert (read.database, read.table, read.key) == (parse_database_url(url), "t", ("a", "b"))
