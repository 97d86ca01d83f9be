"""The schema of the results table: SQLite and Arrow agree, and version 1 of the file stays what it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.sinks.counts_table.schema import ARROW_SCHEMA, KEY, SCHEMA_VERSION, SQL_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

# A file of an older release must keep its meaning: who changes a table here must raise SCHEMA_VERSION as well.
VERSION_1 = {
    "batches": "batch_id* read lost malformed late missed late_before_ms closed_before_ms",
    "counts": "window_start* window_end* url* hits bytes errors",
    "owner": "query_id windows_per_line",
    "positions": "log_id* next_offset",
    "totals": "name* value",
    "windows": "window_start* window_end* urls hits bytes errors",
}
TOTALS_1 = {"read", "lost", "malformed", "late", "missed", "hits", "rows", "dead_letters_dropped"} | {
    f"archived_{what}" for what in ("windows", "rows", "hits")
}


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript(SQL_SCHEMA)
        yield opened


def columns(db: sqlite3.Connection, table: str) -> str:
    """Return the columns of a table; those of its key have a star."""
    found = db.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (table,))
    return " ".join(f"{name}*" if key else name for name, key in found)


def test_the_tables_are_those_of_the_version(db: sqlite3.Connection) -> None:
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert (SCHEMA_VERSION, {name: columns(db, name) for name in names}) == (1, VERSION_1)


def test_each_total_exists_and_starts_at_zero(db: sqlite3.Connection) -> None:
    assert dict(db.execute("SELECT name, value FROM totals")) == dict.fromkeys(TOTALS_1, 0)


def test_arrow_has_the_columns_and_the_key_of_sqlite(db: sqlite3.Connection) -> None:
    stars = [f"{name}*" if name in KEY else name for name in ARROW_SCHEMA.names]
    assert " ".join(stars) == columns(db, "counts")
    assert [name for name in ARROW_SCHEMA.names if name in KEY] == list(KEY)


def test_arrow_has_instants_in_utc_64_bits_and_no_nulls() -> None:
    assert [str(field.type) for field in ARROW_SCHEMA] == [
        *["timestamp[us, tz=UTC]"] * 2,
        "string",
        *["int64"] * 3,
    ]
    assert not any(field.nullable for field in ARROW_SCHEMA)
    pa.table({name: [] for name in ARROW_SCHEMA.names}, schema=ARROW_SCHEMA).validate(full=True)


def test_urls_are_compared_byte_by_byte(db: sqlite3.Connection) -> None:
    urls = ["/a", "/A", "/a ", "/a\0", "/á", ""]
    db.executemany("INSERT INTO counts VALUES (0, 60, ?, 1, 1, 0)", [(url,) for url in urls])
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        db.execute("INSERT INTO counts VALUES (0, 60, '/a', 2, 2, 0)")
    assert db.execute("SELECT count(*) FROM counts WHERE url = '/a'").fetchone() == (1,)


@pytest.mark.parametrize("table", ["counts", "windows", "positions", "totals"])
def test_a_missing_value_is_refused(db: sqlite3.Connection, table: str) -> None:
    nulls = ", ".join(["NULL"] * len(VERSION_1[table].split()))
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        db.execute(f"INSERT INTO {table} VALUES ({nulls})")  # noqa: S608 - names of this file
