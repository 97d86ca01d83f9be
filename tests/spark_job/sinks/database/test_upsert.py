"""A query that ends in ``upsert``: its table equals a batch recount, also when Spark runs its last batch again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery

from spark_job.errors import OptionError
from spark_job.runner.spark_errors import cause_of
from spark_job.sinks.database import DatabaseUrl, read_rows, upsert
from tests.support.counting import forget_newest_commit
from tests.support.results import execute, ledger_of, new_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

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
KEY = ["action", "window"]


class Actions:
    """A folder of JSON objects as a stream and as a batch, and the query over it."""

    def __init__(self, spark: SparkSession, root: Path, target: DatabaseUrl) -> None:
        self.spark = spark
        self.folder = root / "actions"
        self.folder.mkdir()
        self.checkpoint = root / "run" / "checkpoint"
        self.target = target
        self.table = new_name()

    def put(self, name: str, actions: Sequence[str | None], hour: int = 9) -> None:
        """Add an object with one event for each action."""
        events = [{"action": action, "time": f"2026-07-01T{hour:02d}:10:00Z"} for action in actions]
        (self.folder / name).write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")

    def stream(self) -> DataFrame:
        return self.spark.readStream.schema(SCHEMA).json(str(self.folder))

    def run(
        self, result: DataFrame, output_mode: str = "update", key: Sequence[str] = KEY, *, adopt: bool = False
    ) -> str:
        """Run the query until all is read; return its id."""
        query = upsert(
            result,
            str(self.target),
            self.table,
            key=key,
            output_mode=output_mode,
            adopt=adopt,
            password_file=self.target.password_file,
            checkpoint=self.checkpoint,
            trigger=timedelta(0),
        )
        assert isinstance(query, StreamingQuery)
        try:
            query.processAllAvailable()
            return str(query.id)
        finally:
            query.stop()

    def stored(self) -> dict[tuple[str | None, int], int]:
        return {(row["action"], row["window_start"].hour): row["count"] for row in read_rows(self.target, self.table)}

    def recounted(self) -> dict[tuple[str | None, int], int]:
        rows = counted(self.spark.read.schema(SCHEMA).json(str(self.folder))).collect()
        return {(row["action"], row["window"]["start"].hour): row["count"] for row in rows}


@pytest.fixture
def actions(spark: SparkSession, tmp_path: Path, target: DatabaseUrl) -> Actions:
    """A folder without objects."""
    return Actions(spark, tmp_path, target)


def counted(events: DataFrame) -> DataFrame:
    return events.groupBy("action", f.window("time", "1 hour")).count()


@EVERYWHERE
def test_the_table_follows_the_query_over_restarts(actions: Actions) -> None:
    for round_ in range(3):
        actions.put(f"{round_}.json", ["view", "view", "Buy", None], hour=9 + round_ % 2)
        query_id = actions.run(counted(actions.stream()))
        assert actions.stored() == actions.recounted()
    assert ledger_of(actions.target, query_id) == [(2, 3)]


@EVERYWHERE
def test_a_batch_that_spark_runs_again_is_not_written_again(actions: Actions) -> None:
    actions.put("0.json", ["view", "buy"])
    actions.run(counted(actions.stream()))
    actions.put("1.json", ["view"])
    query_id = actions.run(counted(actions.stream()))
    assert forget_newest_commit(actions.checkpoint.parent) == 1
    # Were it written again, this would be undone.
    execute(actions.target, f"UPDATE {actions.table} SET count = 77 WHERE action = 'view'")  # noqa: S608 - our own name
    assert actions.run(counted(actions.stream())) == query_id
    assert actions.stored()[("view", 9)] == 77
    actions.put("2.json", ["view"])
    actions.run(counted(actions.stream()))
    assert actions.stored() == actions.recounted()


@IN_A_FILE
def test_a_lost_checkpoint_is_refused_or_adopts_the_table_and_comes_to_the_same(actions: Actions) -> None:
    for name in ("0.json", "1.json"):
        actions.put(name, ["view", "buy"])
        actions.run(counted(actions.stream()))
    actions.checkpoint = actions.checkpoint.with_name("another")
    with pytest.raises(PySparkException) as refused:
        actions.run(counted(actions.stream()))
    # The job makes one sentence of what Spark makes of the error, and ends with exit code 2.
    cause = cause_of(refused.value)
    assert isinstance(cause, OptionError)
    assert str(cause).endswith("take this table over with --adopt-table (in a program: adopt=True)")
    actions.run(counted(actions.stream()), adopt=True)
    assert actions.stored() == actions.recounted() == {("view", 9): 2, ("buy", 9): 2}


@IN_A_FILE
def test_complete_mode_deletes_what_is_not_in_the_result_any_more(actions: Actions) -> None:
    def frequent(events: DataFrame) -> DataFrame:
        return counted(events).where("count < 3")

    actions.put("0.json", ["view", "view", "buy"])
    actions.run(frequent(actions.stream()), "complete")
    assert actions.stored() == {("view", 9): 2, ("buy", 9): 1}
    actions.put("1.json", ["view", "view", "buy"])
    actions.run(frequent(actions.stream()), "complete")
    assert actions.stored() == {("buy", 9): 2}


@IN_A_FILE
def test_append_mode_writes_rows_once_they_are_final(actions: Actions) -> None:
    def final(events: DataFrame) -> DataFrame:
        return counted(events.withWatermark("time", "0 seconds"))

    actions.put("0.json", ["view", "buy"], hour=9)
    actions.run(final(actions.stream()), "append")
    actions.put("1.json", ["view"], hour=12)
    actions.run(final(actions.stream()), "append")
    actions.put("2.json", ["view"], hour=13)
    actions.run(final(actions.stream()), "append")
    # The watermark is that of the batch before: ten past twelve.
    assert actions.stored() == {("view", 9): 1, ("buy", 9): 1}


@IN_A_FILE
def test_a_batch_result_ends_in_the_same_line(actions: Actions) -> None:
    actions.put("0.json", ["view", "buy", "view"])
    result = counted(actions.spark.read.schema(SCHEMA).json(str(actions.folder)))
    for _ in range(2):
        written = upsert(
            result, str(actions.target), actions.table, key=KEY, password_file=actions.target.password_file
        )
        assert written == 2
    assert actions.stored() == {("view", 9): 2, ("buy", 9): 1}
    actions.put("1.json", ["view"])
    actions.run(counted(actions.stream()))
    url, password_file = str(actions.target), actions.target.password_file
    with pytest.raises(OptionError, match=f"the table {actions.table} belongs to the writer"):
        upsert(result, url, actions.table, key=KEY, password_file=password_file)
    assert upsert(result, url, actions.table, key=KEY, password_file=password_file, adopt=True) == 2


@IN_A_FILE
def test_what_cannot_be_is_refused_before_the_query_starts(actions: Actions) -> None:
    actions.put("0.json", ["view"])
    result = counted(actions.stream())
    url, password_file = str(actions.target), actions.target.password_file
    with pytest.raises(OptionError, match="no checkpoint: pass checkpoint=FOLDER"):
        upsert(result, url, actions.table, key=KEY, password_file=password_file)
    with pytest.raises(OptionError, match="output mode 'upsert': use one of update, append, complete"):
        upsert(result, url, actions.table, key=KEY, output_mode="upsert", password_file=password_file)
    with pytest.raises(OptionError, match="key 'url': the result has no such column"):
        upsert(result, url, actions.table, key=["url"], checkpoint=actions.checkpoint, password_file=password_file)
    execute(actions.target, f"CREATE TABLE {actions.table} (action INTEGER)")
    with pytest.raises(OptionError, match="does not fit the result"):
        upsert(result, url, actions.table, key=KEY, checkpoint=actions.checkpoint, password_file=password_file)
    assert actions.spark.streams.active == []
