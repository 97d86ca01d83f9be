"""Staged rows are moved once, whole, and only those that count; what a kill leaves behind goes away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError, SinkError
from spark_job.sinks.database import Database, DatabaseUrl, read_rows
from spark_job.sinks.database.staging import ABANDONED_AFTER, LONGEST_TABLE_NAME, Staging
from tests.support.results import counts, execute, ledger_of, new_name

if TYPE_CHECKING:
    import pyarrow as pa

KEY = ("action", "window")
SCHEMA = counts([], []).schema


@pytest.fixture
def staging(database: Database) -> Staging:
    """An empty table and the one beside it."""
    return Staging(database, new_name(), SCHEMA, KEY, create=True)


def batches(rows: pa.Table) -> list[pa.RecordBatch]:
    return list(rows.to_batches(max_chunksize=2))


def stored(target: DatabaseUrl, staging: Staging) -> dict[str, int]:
    return {row["action"]: row["count"] for row in read_rows(target, staging.target.table.name)}


def staged_rows(target: DatabaseUrl, staging: Staging) -> int:
    return int(execute(target, f"SELECT count(*) FROM {staging.staged.name}")[0][0])  # noqa: S608 - our own name


def test_rows_of_many_tasks_are_moved_together(target: DatabaseUrl, staging: Staging) -> None:
    query = new_name()
    for batch_id in range(2):
        parts = dict(
            staging.stage(query, batches(counts([f"{task}{n}" for n in range(5)], [batch_id] * 5))) for task in "abc"
        )
        assert stored(target, staging) == {} or batch_id
        assert staging.move(query, parts, batch_id, replace=False) == 15
    assert stored(target, staging) == {f"{task}{n}": 1 for task in "abc" for n in range(5)}
    assert ledger_of(target, query) == [(1, 15)]
    assert staged_rows(target, staging) == 0


def test_a_batch_that_was_moved_is_not_moved_again(target: DatabaseUrl, staging: Staging) -> None:
    query = new_name()
    for count in (1, 2):
        parts = dict([staging.stage(query, batches(counts(["a"], [count])))])
        staging.move(query, parts, 0, replace=False)
    assert stored(target, staging) == {"a": 1}
    assert staged_rows(target, staging) == 0


def test_attempts_that_do_not_count_are_deleted_by_the_commit(target: DatabaseUrl, staging: Staging) -> None:
    query, other = new_name(), new_name()
    staging.stage(query, batches(counts(["killed"], [9])))
    staging.stage(other, batches(counts(["of another"], [9])))
    parts = dict([staging.stage(query, batches(counts(["a"], [1])))])
    staging.move(query, parts, 0, replace=False)
    assert stored(target, staging) == {"a": 1}
    assert staged_rows(target, staging) == 1


def test_what_nobody_came_back_for_is_deleted_after_a_day(target: DatabaseUrl, staging: Staging) -> None:
    staging.stage("killed", batches(counts(["a", "b", "c"], [1, 1, 1])))
    now = datetime.now(UTC)
    assert staging.purge(now + ABANDONED_AFTER - timedelta(minutes=1)) == 0
    assert staging.purge(now + ABANDONED_AFTER + timedelta(minutes=1)) == 3
    assert staged_rows(target, staging) == 0


def test_rows_that_are_gone_stop_the_commit(target: DatabaseUrl, staging: Staging) -> None:
    query = new_name()
    parts = dict([staging.stage(query, batches(counts(["a", "b"], [1, 1])))])
    # What a crash of PostgreSQL does to a table that is not logged.
    execute(target, f"DELETE FROM {staging.staged.name}")  # noqa: S608 - our own name
    with pytest.raises(SinkError, match=r"2 rows were staged for .*, but 0 are left"):
        staging.move(query, parts, 0, replace=True)
    assert stored(target, staging) == {}
    assert ledger_of(target, query) == []


def test_one_key_in_two_tasks_is_refused(target: DatabaseUrl, staging: Staging) -> None:
    parts = dict(staging.stage("q", batches(counts(["a"], [count]))) for count in (1, 2))
    with pytest.raises(SinkError, match=r"have the same key \(action, window_start, window_end\)"):
        staging.move("q", parts, None, replace=False)
    staging.drop(parts)
    assert staged_rows(target, staging) == 0


def test_a_complete_result_replaces_the_old_one_at_once(target: DatabaseUrl, staging: Staging) -> None:
    for batch_id, actions in enumerate((["a", "b"], ["b", "c"], [])):
        parts = dict([staging.stage("q" + staging.staged.name, batches(counts(actions, [batch_id] * len(actions))))])
        staging.move("q" + staging.staged.name, parts, batch_id, replace=True)
        assert stored(target, staging) == dict.fromkeys(actions, batch_id)


def test_names_that_do_not_leave_room_are_refused(database: Database) -> None:
    with pytest.raises(OptionError, match="because its staging table gets a longer name"):
        Staging(database, "x" * (LONGEST_TABLE_NAME + 1), SCHEMA, KEY, create=True)
    renamed = counts([], []).rename_columns(["action", "window", "staged_at"])
    with pytest.raises(OptionError, match="the staging table has columns called staged_at itself"):
        Staging(database, new_name(), renamed.schema, KEY, create=True)
