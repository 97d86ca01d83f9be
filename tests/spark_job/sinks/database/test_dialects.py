"""Statements in which the databases differ: what they do in SQLite, how they read for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect

from spark_job.sinks.database.dialects import insert_missing, upsert_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA = sa.MetaData()
KEY = ("day", "url")


def key_columns() -> list[sa.Column[Any]]:
    return [sa.Column("day", sa.Integer, primary_key=True), sa.Column("url", sa.String(9), primary_key=True)]


COUNTS = sa.Table("counts", METADATA, *key_columns(), sa.Column("hits", sa.Integer), sa.Column("note", sa.Text))
ONLY_KEY = sa.Table("seen", METADATA, *key_columns())
DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
    "mariadb": MariaDBDialect(),
    "mysql": mysql.dialect(),
}


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as opened:
        METADATA.create_all(opened)
        yield opened
    engine.dispose()


def rows(connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]


def sql(statement: sa.ClauseElement, dialect: str) -> str:
    """Return the part of a statement that says what happens to an existing row."""
    text = " ".join(str(statement.compile(dialect=DIALECTS[dialect])).split())
    return text[text.index(" ON ") + 1 :]


def test_an_existing_row_is_updated_in_every_column_and_others_stay(connection: sa.Connection) -> None:
    statement = upsert_rows(COUNTS, KEY, "sqlite")
    first = [{"day": 1, "url": "/a", "hits": 1, "note": "x"}, {"day": 2, "url": "/a", "hits": 5, "note": None}]
    connection.execute(statement, first)
    connection.execute(statement, [{"day": 1, "url": "/a", "hits": 2, "note": None}])
    assert rows(connection, COUNTS) == [(1, "/a", 2, None), (2, "/a", 5, None)]


def test_rows_may_come_from_a_query(connection: sa.Connection) -> None:
    connection.execute(sa.insert(COUNTS), [{"day": 1, "url": "/a", "hits": 1}, {"day": 1, "url": "/b", "hits": 2}])
    moved = sa.select(sa.literal(1), COUNTS.c.url, COUNTS.c.hits * 10, sa.literal("moved")).where(COUNTS.c.url == "/b")
    connection.execute(upsert_rows(COUNTS, KEY, "sqlite", moved))
    assert rows(connection, COUNTS) == [(1, "/a", 1, None), (1, "/b", 20, "moved")]


def test_a_row_of_only_a_key_stays_as_it_is(connection: sa.Connection) -> None:
    for _ in range(2):
        connection.execute(upsert_rows(ONLY_KEY, KEY, "sqlite"), [{"day": 1, "url": "/a"}])
    assert rows(connection, ONLY_KEY) == [(1, "/a")]


def test_a_missing_row_is_inserted_and_an_existing_one_kept(connection: sa.Connection) -> None:
    for hits in (1, 2):
        connection.execute(insert_missing(COUNTS, "sqlite"), {"day": 1, "url": "/a", "hits": hits, "note": None})
    assert rows(connection, COUNTS) == [(1, "/a", 1, None)]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_a_conflict_is_named_by_the_key(dialect: str) -> None:
    assert sql(upsert_rows(COUNTS, KEY, dialect), dialect) == (
        "ON CONFLICT (day, url) DO UPDATE SET hits = excluded.hits, note = excluded.note"
    )
    assert sql(upsert_rows(ONLY_KEY, KEY, dialect), dialect) == "ON CONFLICT (day, url) DO NOTHING"
    assert sql(insert_missing(COUNTS, dialect), dialect) == "ON CONFLICT (day, url) DO NOTHING"


@pytest.mark.parametrize("dialect", ["mariadb", "mysql"])
def test_where_any_index_decides_only_the_rest_of_the_row_changes(dialect: str) -> None:
    changes = sql(upsert_rows(COUNTS, KEY, dialect), dialect).replace("new.", "")
    assert changes in (
        "ON DUPLICATE KEY UPDATE hits = VALUES(hits), note = VALUES(note)",
        "ON DUPLICATE KEY UPDATE hits = hits, note = note",
    )
    assert sql(upsert_rows(ONLY_KEY, KEY, dialect), dialect).count(" = ") == 1
    assert sql(insert_missing(COUNTS, dialect), dialect) == "ON DUPLICATE KEY UPDATE day = counts.day"
