"""The schema of the results table: SQLite and Arrow agree, and files of version 1 are taken over."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.sinks.counts_table.schema import ARROW_SCHEMA, KEY, SCHEMA_VERSION, SCRIPTS
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counts import LOG, QUERY, content, entry, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A file of an older release must keep its meaning: who changes a table here must raise SCHEMA_VERSION as well.
VERSION_2 = {
    "batches": "sequence* query_id batch_id ranges read lost malformed too_old missed",
    "counts": "window_start* window_end* url* hits bytes errors",
    "positions": "log_id* next_offset",
    "table_state": "table_id windows_per_line closed_before next_sequence",
    "totals": "name* value",
    "windows": "window_start* window_end* urls hits bytes errors",
}
TOTALS_2 = {"read", "lost", "malformed", "late", "too_old", "missed", "hits", "rows", "dead_letters_dropped"} | {
    f"archived_{what}" for what in ("windows", "rows", "hits")
}
# As headrace 0.1.0 wrote it, when Spark kept the open windows.
VERSION_1 = """
CREATE TABLE counts (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    url          TEXT    NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end, url)
) WITHOUT ROWID;

-- The sums of each window, updated by differences, so that a share needs no scan of the window's rows.
CREATE TABLE windows (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    urls         INTEGER NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end)
) WITHOUT ROWID;

-- The newest batches. A batch in this table is stored; when Spark runs it again it changes nothing.
CREATE TABLE batches (
    batch_id         INTEGER PRIMARY KEY,
    read             INTEGER NOT NULL,
    lost             INTEGER NOT NULL,
    malformed        INTEGER NOT NULL,
    late             INTEGER NOT NULL,
    missed           INTEGER NOT NULL,
    late_before_ms   INTEGER NOT NULL,
    closed_before_ms INTEGER NOT NULL
);

-- The offset up to which each log is counted.
CREATE TABLE positions (
    log_id      TEXT PRIMARY KEY,
    next_offset INTEGER NOT NULL
) WITHOUT ROWID;

-- Sums over all batches ever stored and over all windows, including those that were archived (deleted).
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO totals (name, value)
VALUES ('read', 0), ('lost', 0), ('malformed', 0), ('late', 0), ('missed', 0), ('hits', 0), ('rows', 0),
       ('archived_windows', 0), ('archived_rows', 0), ('archived_hits', 0), ('dead_letters_dropped', 0);

CREATE TABLE owner (
    query_id         TEXT    NOT NULL,
    windows_per_line INTEGER NOT NULL
);
"""


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript(SCRIPTS[0])
        yield opened


def columns(db: sqlite3.Connection, table: str) -> str:
    """Return the columns of a table; those of its key have a star."""
    found = db.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (table,))
    return " ".join(f"{name}*" if key else name for name, key in found)


def test_the_tables_are_those_of_the_version(db: sqlite3.Connection) -> None:
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert (SCHEMA_VERSION, {name: columns(db, name) for name in names}) == (2, VERSION_2)


def test_each_total_exists_and_starts_at_zero(db: sqlite3.Connection) -> None:
    assert dict(db.execute("SELECT name, value FROM totals")) == dict.fromkeys(TOTALS_2, 0)


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
    nulls = ", ".join(["NULL"] * len(VERSION_2[table].split()))
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        db.execute(f"INSERT INTO {table} VALUES ({nulls})")  # noqa: S608 - names of this file


def version_1(path: Path, *, batches: int) -> None:
    """Write a file as version 1 did, with two lines in each batch."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{VERSION_1} PRAGMA user_version = 1;")
        if batches:
            db.execute("INSERT INTO owner VALUES (?, 2)", (QUERY,))
            db.execute("INSERT INTO positions VALUES (?, ?)", (LOG, 2 * batches))
            db.execute("INSERT INTO counts VALUES (0, 120000000, '/a', ?, 0, 0)", (4 * batches,))
            db.execute("INSERT INTO windows VALUES (0, 120000000, 1, ?, 0, 0)", (4 * batches,))
            totals = {"read": 2 * batches + 3, "late": 3, "hits": 4 * batches, "rows": 1}
            db.executemany("UPDATE totals SET value = ? WHERE name = ?", [(n, name) for name, n in totals.items()])
        for batch in range(batches):
            db.execute("INSERT INTO batches VALUES (?, 2, 0, 0, 0, 0, 0, 0)", (batch,))
        db.commit()


def test_a_file_of_version_1_is_taken_over_and_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    version_1(path, batches=3)
    with CountsTable(path, windows_per_line=2) as table:
        assert (table.table_id(), table.next_sequence(), table.positions()) == (QUERY, 3, {LOG: 6})
        assert str(table.tally()) == "lines read 9 = counted 6 + malformed 0 + late 3 + too old 0"
        store(table, entry(0, 6, 7, query_id="a new one"), [(0, "/a", 1), (1, "/a", 1)], length=2)
        assert (content(table), table.next_sequence()) == ({(0, "/a"): 13, (1, "/a"): 1}, 4)
        table.verify()
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        assert {name: columns(db, name) for name in names} == VERSION_2


def test_a_file_of_version_1_without_a_batch_is_as_good_as_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    version_1(path, batches=0)
    with CountsTable(path, windows_per_line=2) as table:
        assert (table.next_sequence(), table.positions()) == (0, {})
        assert str(table.tally()) == "lines read 0 = counted 0 + malformed 0 + too old 0"
