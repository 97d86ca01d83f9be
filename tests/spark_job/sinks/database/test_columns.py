"""The columns of a result's table: a type for each Arrow type and database, instants in UTC, structs made flat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect

from spark_job.errors import OptionError
from spark_job.sinks.database.columns import Instant, columns_of, flat_key, flat_schema, flat_table, text_limit
from tests.support.results import INSTANT, WINDOW

if TYPE_CHECKING:
    import sqlalchemy as sa

DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
    "mariadb": MariaDBDialect(),
    "mysql": mysql.dialect(),
}
# Arrow type: the declared types in SQLite, PostgreSQL and MariaDB.
TYPES = [
    (pa.bool_(), "BOOLEAN", "BOOLEAN", "BOOL"),
    (pa.int8(), "SMALLINT", "SMALLINT", "SMALLINT"),
    (pa.int16(), "SMALLINT", "SMALLINT", "SMALLINT"),
    (pa.int32(), "INTEGER", "INTEGER", "INTEGER"),
    (pa.int64(), "BIGINT", "BIGINT", "BIGINT"),
    (pa.float32(), "DOUBLE", "DOUBLE PRECISION", "DOUBLE"),
    (pa.float64(), "DOUBLE", "DOUBLE PRECISION", "DOUBLE"),
    (pa.decimal128(38, 18), "TEXT", "NUMERIC(38, 18)", "NUMERIC(38, 18)"),
    (pa.large_string(), "TEXT", "TEXT", "LONGTEXT CHARACTER SET utf8mb4"),
    (pa.binary(), "BLOB", "BYTEA", "LONGBLOB"),
    (pa.date32(), "DATE", "DATE", "DATE"),
    (INSTANT, "DATETIME", "TIMESTAMP WITH TIME ZONE", "DATETIME(6)"),
    (pa.timestamp("us", tz="Europe/Berlin"), "DATETIME", "TIMESTAMP WITH TIME ZONE", "DATETIME(6)"),
]


def declared(column: sa.Column[Any], dialect: str) -> str:
    return str(column.type.compile(dialect=DIALECTS[dialect]))


@pytest.mark.parametrize(("kind", "in_sqlite", "in_postgresql", "in_mariadb"), TYPES)
def test_each_type_has_a_column_in_each_database(
    kind: pa.DataType, in_sqlite: str, in_postgresql: str, in_mariadb: str
) -> None:
    schema = pa.schema([("id", pa.int32()), ("value", kind)])
    found = {dialect: declared(columns_of(schema, ["id"], dialect)[1], dialect) for dialect in DIALECTS}
    assert found == {"sqlite": in_sqlite, "postgresql": in_postgresql, "mariadb": in_mariadb, "mysql": in_mariadb}


def test_text_columns_of_a_key_share_the_index_and_are_compared_exactly() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string()), ("n", pa.int64()), ("rest", pa.string())])
    kinds = {name: columns_of(schema, ["a", "b", "n"], name) for name in DIALECTS}
    assert declared(kinds["mariadb"][0], "mariadb") == "VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    assert declared(kinds["mysql"][1], "mysql") == "VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
    assert declared(kinds["postgresql"][0], "postgresql") == declared(kinds["sqlite"][0], "sqlite") == "TEXT"
    for columns in kinds.values():
        assert [(column.primary_key, column.nullable) for column in columns] == [(True, False)] * 3 + [(False, True)]
    assert [text_limit(["x"] * number) for number in (0, 1, 3)] == [640, 640, 213]


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.binary(), pa.large_binary()])
def test_a_key_that_no_index_can_hold_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(OptionError, match=r"key 'k': .* cannot be part of a key"):
        columns_of(pa.schema([("k", kind)]), ["k"], "sqlite")


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones))  # noqa: DTZ001 - bounds
def test_an_instant_survives_every_database_whatever_its_zone(instant: datetime) -> None:
    for name, dialect in DIALECTS.items():
        bound = Instant().process_bind_param(instant, dialect)
        assert bound is not None
        assert bound.tzinfo is (UTC if name == "postgresql" else None)
        found = Instant().process_result_value(bound, dialect)
        assert found == instant
        assert found is not None
        assert found.tzinfo is UTC


names = st.text("abcdefgh", min_size=1, max_size=3)
kinds = st.recursive(
    st.just(pa.int64()), lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3).map(lambda f: pa.struct(f))
)


@given(st.dictionaries(names, kinds, min_size=1, max_size=4))
def test_rows_and_schema_are_made_flat_in_the_same_way(fields: dict[str, pa.DataType]) -> None:
    schema = pa.schema(fields)
    rows = pa.Table.from_pylist([{}, {}], schema=schema)
    assert flat_table(rows).schema.equals(flat_schema(schema))


def test_fields_of_structs_become_columns_and_a_struct_without_value_has_none() -> None:
    outer = pa.struct([("window", WINDOW), ("n", pa.int64())])
    rows = pa.table({"by": pa.array([{"window": {"start": None, "end": None}, "n": 1}, None], outer), "x": [2, 3]})
    flat = flat_table(rows)
    assert flat.column_names == ["by_window_start", "by_window_end", "by_n", "x"]
    assert [list(row.values()) for row in flat.to_pylist()] == [[None, None, 1, 2], [None, None, None, 3]]


def test_columns_that_differ_only_in_case_are_refused() -> None:
    with pytest.raises(OptionError, match="two columns of the same name: window_end"):
        flat_schema(pa.schema([("window", WINDOW), ("Window_End", INSTANT)]))


def test_a_struct_in_a_key_stands_for_its_fields() -> None:
    schema = pa.schema([("window", WINDOW), ("url", pa.string())])
    assert flat_key(["url", "window"], schema) == ["url", "window_start", "window_end"]
    assert flat_key(["window_end"], schema) == ["window_end"]
    with pytest.raises(OptionError, match="it has window_start, window_end, url"):
        flat_key(["Url"], schema)
