"""Arrow rows become parameters in key order, in values that every driver takes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.errors import SinkError
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.rows import bound_rows
from spark_job.sinks.database.tables import ResultTable, prepare_table

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = pa.schema([("url", pa.string()), ("share", pa.float64()), ("cost", pa.decimal128(9, 2))])


@pytest.fixture
def target(tmp_path: Path) -> ResultTable:
    with Database(parse_database_url(f"sqlite:///{tmp_path / 'results.db'}")) as database:
        return prepare_table(database, "costs", SCHEMA, ["url"], create=True)


def table(urls: list[str | None], shares: list[float | None], costs: list[Decimal | None]) -> pa.Table:
    return pa.table({"url": urls, "share": shares, "cost": costs}, schema=SCHEMA)


def test_rows_are_ordered_by_key_and_numbers_that_are_none_are_null(target: ResultTable) -> None:
    rows = table(["/b", "/a"], [float("nan"), float("inf")], [Decimal("1.50"), None])
    assert bound_rows(rows, target, decimals_as_text=True) == [
        {"url": "/a", "share": None, "cost": None},
        {"url": "/b", "share": None, "cost": "1.50"},
    ]
    assert bound_rows(rows, target, decimals_as_text=False)[1]["cost"] == Decimal("1.50")


def test_two_rows_with_one_key_are_refused_and_the_key_is_shown(target: ResultTable) -> None:
    rows = table(["/a", "/b", "/a"], [1.0, 2.0, 3.0], [None, None, None])
    with pytest.raises(SinkError, match=r"2 rows of the result have the same key \(url\): '/a'"):
        bound_rows(rows, target, decimals_as_text=True)


def test_an_instant_is_in_utc_whatever_its_zone(target: ResultTable) -> None:
    instant = datetime(2015, 5, 17, 10, 5, tzinfo=UTC)
    rows = pa.table({"url": ["/a"], "at": pa.array([instant], pa.timestamp("us", tz="Europe/Paris"))})
    (row,) = bound_rows(rows, target, decimals_as_text=True)
    assert row["at"] == instant
    assert row["at"].tzinfo is UTC


def test_a_time_that_python_does_not_know_is_refused(target: ResultTable) -> None:
    far = pa.array([10**18], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    with pytest.raises(SinkError, match="'at' has a time beyond the years 1 to 9999"):
        bound_rows(pa.table({"url": ["/a"], "at": far}), target, decimals_as_text=True)
