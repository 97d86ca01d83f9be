"""Rows come back ordered by key, with instants in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.errors import OptionError, SinkError
from spark_job.sinks.database import read_rows
from spark_job.sinks.database.dialects import upsert_rows
from spark_job.sinks.database.rows import bound_rows
from spark_job.sinks.database.tables import prepare_table

if TYPE_CHECKING:
    from spark_job.sinks.database import Database

SCHEMA = pa.schema([("url", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("bot", pa.bool_()), ("n", pa.int64())])
NOON = datetime(2015, 5, 17, 12, tzinfo=UTC)


def store(database: Database, rows: pa.Table) -> None:
    target = prepare_table(database, "visits", SCHEMA, ["url"], create=True)
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


def test_a_table_that_does_not_exist_is_named(database: Database) -> None:
    # SQLite has no file before the first table.
    prepare_table(database, "another", SCHEMA, ["url"], create=True)
    with pytest.raises(SinkError, match="the table nothing does not exist"):
        list(read_rows(database, "nothing"))


def test_a_name_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(OptionError, match="a name has letters, digits and underscores"):
        list(read_rows(database, "counts; DROP TABLE counts"))
