"""Rows come back ordered by key, with instants in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.errors import OptionError, SinkError
from spark_job.sinks.database import Database, read_rows
from spark_job.sinks.database.dialects import upsert_rows
from spark_job.sinks.database.read import ROWS_AT_A_TIME
from spark_job.sinks.database.rows import bound_rows
from spark_job.sinks.database.tables import prepare_table

if TYPE_CHECKING:
    from spark_job.sinks.database import DatabaseUrl

SCHEMA = pa.schema([("url", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("bot", pa.bool_()), ("n", pa.int64())])
NOON = datetime(2015, 5, 17, 12, tzinfo=UTC)


def store(database: Database, rows: pa.Table, table: str = "visits") -> None:
    target = prepare_table(database, table, SCHEMA, ["url"], create=True)
    bound = bound_rows(rows, target, decimals_as_text=database.dialect == "sqlite")
    statement = upsert_rows(target.table, target.key, database.dialect)
    database.transaction(lambda connection: connection.execute(statement, bound))


def test_rows_are_read_by_the_bytes_of_their_key(database: Database) -> None:
    urls = ["/b", "/B", "/\u00e9", "/a"]
    columns = {"url": urls, "at": [NOON] * 4, "bot": [True, False, True, False], "n": [1, 2, 3, 4]}
    store(database, pa.table(columns, schema=SCHEMA))
    rows = list(read_rows(database, "visits"))
    assert [row["url"] for row in rows] == sorted(urls, key=str.encode)
    assert [row["n"] for row in rows] == [2, 4, 1, 3]
    assert {row["at"] for row in rows} == {NOON}
    assert [row["bot"] for row in rows] == [False, False, True, True]


def test_a_key_without_a_value_is_none_and_text_that_looks_like_it_is_not(database: Database) -> None:
    urls = [None, "/a", "(null)"]
    columns = {"url": urls, "at": [NOON, None, NOON], "bot": [True, None, False], "n": [1, 2, 3]}
    store(database, pa.table(columns, schema=SCHEMA), "nothing_known")
    found = {row["url"]: row for row in read_rows(database, "nothing_known")}
    assert found[None] == {"url": None, "at": NOON, "bot": True, "n": 1}
    assert found["/a"] == {"url": "/a", "at": None, "bot": None, "n": 2}
    (other,) = found.keys() - {None, "/a"}
    assert other.startswith("(null)~")
    assert found[other]["n"] == 3


def test_a_reading_shows_the_state_in_which_it_began(target: DatabaseUrl) -> None:
    count = 3 * ROWS_AT_A_TIME
    urls = [f"/{number:06}" for number in range(count)]
    columns = {"url": urls, "at": [NOON] * count, "bot": [True] * count}
    with Database(target) as writer, Database(target) as reader:
        store(writer, pa.table({**columns, "n": [1] * count}, schema=SCHEMA), "changing")
        rows = read_rows(reader, "changing")
        first = next(rows)
        store(writer, pa.table({**columns, "n": [2] * count}, schema=SCHEMA), "changing")
        late = {"url": ["/zzz"], "at": [NOON], "bot": [True], "n": [2]}
        store(writer, pa.table(late, schema=SCHEMA), "changing")
        seen = [first, *rows]
        assert [row["url"] for row in seen] == urls
        assert {row["n"] for row in seen} == {1}
        again = list(read_rows(reader, "changing"))
        assert len(again) == count + 1
        assert {row["n"] for row in again} == {2}


def test_a_table_that_does_not_exist_is_named(database: Database) -> None:
    # SQLite has no file before the first table.
    prepare_table(database, "another", SCHEMA, ["url"], create=True)
    with pytest.raises(SinkError, match="the table nothing does not exist"):
        list(read_rows(database, "nothing"))


def test_a_name_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(OptionError, match="a name has letters, digits and underscores"):
        list(read_rows(database, "counts; DROP TABLE counts"))
