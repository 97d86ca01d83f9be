"""A table that is there is used when it fits, and refused with both sides named when it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.errors import OptionError
from spark_job.sinks.database import read_rows, write_batch
from tests.support.results import INSTANT, execute, new_name

if TYPE_CHECKING:
    from spark_job.sinks.database import DatabaseUrl

ROWS = pa.table(
    {
        "url": ["/a", "/" + "long" * 100],
        "at": pa.array([datetime(2026, 7, 1, tzinfo=UTC)] * 2, INSTANT),
        "hits": pa.array([3_000_000_000, 1], pa.int64()),
        "share": [0.25, 0.75],
        "price": pa.array([Decimal("1.50"), None], pa.decimal128(8, 2)),
        "note": ["x", None],
    }
)
KEY = ["url", "at"]

KINDS = {
    "sqlite": {"url": "TEXT", "at": "DATETIME", "hits": "INTEGER", "share": "REAL", "price": "TEXT", "note": "TEXT"},
    "postgresql": {
        "url": "varchar(200)",
        "at": "timestamptz",
        "hits": "bigint",
        "share": "double precision",
        "price": "numeric(10, 2)",
        "note": "text",
    },
    "mariadb": {
        "url": "varchar(200) COLLATE utf8mb4_nopad_bin",
        "at": "datetime(6)",
        "hits": "bigint",
        "share": "double",
        "price": "decimal(10, 2)",
        "note": "longtext",
    },
}


def make(
    target: DatabaseUrl, changes: dict[str, str] | None = None, *, key: str = "PRIMARY KEY (url, at)", more: str = ""
) -> str:
    """Make a table that fits, but for the changes; return its name."""
    table = new_name()
    columns = {**KINDS[target.dialect], **(changes or {})}
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items() if kind)
    execute(target, f"CREATE TABLE {table} ({', '.join(part for part in (listed, more, key) if part)})")
    return table


def refusal(target: DatabaseUrl, table: str) -> str:
    """Return why a table is refused."""
    with pytest.raises(OptionError) as refused:
        write_batch(target, table, KEY, ROWS, query_id=None)
    text = str(refused.value)
    assert f"the table {table} does not fit the result: " in text
    return text


def test_a_table_that_fits_is_used_and_keys_are_cut_to_its_length(target: DatabaseUrl) -> None:
    table = make(target, more="added_by TEXT, weight INTEGER DEFAULT 7")
    for _ in range(2):
        assert write_batch(target, table, KEY, ROWS, query_id=None, create=False) == 2
    rows = list(read_rows(target, table))
    assert [(row["hits"], row["weight"], row["added_by"]) for row in rows] == [(3_000_000_000, 7, None), (1, 7, None)]
    if target.dialect != "sqlite":
        assert len(rows[1]["url"]) == 200


def test_a_unique_index_is_as_good_as_a_primary_key(target: DatabaseUrl) -> None:
    table = make(target, {"url": f"{KINDS[target.dialect]['url']} NOT NULL"}, key="UNIQUE (at, url)")
    for _ in range(2):
        write_batch(target, table, KEY, ROWS, query_id=None)
    assert len(list(read_rows(target, table))) == 2


def test_a_table_made_by_the_sink_fits_it(target: DatabaseUrl) -> None:
    table = new_name()
    for _ in range(2):
        assert write_batch(target, table, KEY, ROWS, query_id=None) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hits": ""}, "it has no column hits (bigint), only url, at, share, price, note"),
        ({"hits": "text"}, "hits is bigint in the result and text in the table"),
        ({"at": "text"}, "at is timestamp in the result and text in the table"),
        ({"share": "integer"}, "share is double in the result and integer in the table"),
        ({"note": "integer"}, "note is string in the result and integer in the table"),
    ],
)
def test_columns_of_another_kind_are_refused(change: dict[str, str], said: str, target: DatabaseUrl) -> None:
    key = "PRIMARY KEY (url)" if change.get("at") == "text" else "PRIMARY KEY (url, at)"
    assert said in refusal(target, make(target, change, key=key)).replace("integer(11)", "integer")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hits": "integer"}, "hits is bigint in the result and integer in the table, which is too small"),
        ({"at": "timestamp"}, "which is no timestamp with time zone"),
        ({"note": "varchar(20)"}, "note is string in the result and varchar(20) in the table, which is too short"),
        ({"url": "varchar(20)"}, "and a key needs 64 characters"),
        ({"url": "char(200)"}, "which fills text up with blanks"),
        (
            {"price": "numeric(7, 2)"},
            "price is decimal in the result and numeric(7, 2) in the table, which is too small",
        ),
        ({"price": "numeric(10, 1)"}, "which is too small"),
        ({"share": "real"}, "share is double in the result and real in the table"),
    ],
)
@pytest.mark.parametrize("target", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
def test_columns_that_would_lose_something_in_postgresql_are_refused(
    change: dict[str, str], said: str, target: DatabaseUrl
) -> None:
    assert said in refusal(target, make(target, change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "varchar(200)"}, "which treats different keys as equal; use utf8mb4_nopad_bin"),
        ({"url": "varchar(200) COLLATE utf8mb4_bin"}, "which treats different keys as equal"),
        ({"hits": "bigint unsigned"}, "which is too small"),
        ({"hits": "mediumint"}, "which is too small"),
        ({"at": "datetime"}, "which is no datetime(6)"),
        ({"at": "timestamp(6)"}, "which is no datetime(6)"),
        ({"note": "text"}, "which is too short for any text"),
    ],
)
@pytest.mark.parametrize("target", [pytest.param("mariadb", marks=pytest.mark.mariadb)], indirect=True)
def test_columns_that_would_lose_something_in_mariadb_are_refused(
    change: dict[str, str], said: str, target: DatabaseUrl
) -> None:
    assert said in refusal(target, make(target, change))


def test_another_key_is_refused(target: DatabaseUrl) -> None:
    assert "the key is (at, url) in the result and (url) in the table" in refusal(
        target, make(target, key="PRIMARY KEY (url)")
    )
    without = make(target, key="")
    assert "the key is (at, url) in the result and none in the table" in refusal(target, without)


def test_a_column_that_must_be_given_is_refused(target: DatabaseUrl) -> None:
    table = make(target, more="owner INTEGER NOT NULL")
    assert "its column owner (integer" in refusal(target, table)


@pytest.mark.parametrize("target", [pytest.param("mariadb", marks=pytest.mark.mariadb)], indirect=True)
def test_a_second_unique_index_is_refused_where_it_would_decide_as_well(target: DatabaseUrl) -> None:
    table = make(target, more="UNIQUE (hits)")
    assert "it has a second unique index (hits)" in refusal(target, table)


def test_a_table_is_made_only_when_that_is_wanted(target: DatabaseUrl) -> None:
    with pytest.raises(OptionError, match="does not exist; create it"):
        write_batch(target, new_name(), KEY, ROWS, query_id=None, create=False)
