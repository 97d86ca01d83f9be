"""The table of a result is created once, or refused where it does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import sqlalchemy as sa

from spark_job.errors import OptionError
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.tables import LONGEST_NAME, check_name, prepare_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = pa.schema([("url", pa.string()), ("hits", pa.int64())])


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    with Database(parse_database_url(f"sqlite:///{tmp_path / 'results.db'}")) as database:
        yield database


def columns_in(database: Database, name: str) -> dict[str, bool]:
    """Return each column, and whether it is part of the key."""
    table = database.transaction(lambda connection: sa.Table(name, sa.MetaData(), autoload_with=connection))
    return {column.name: column.primary_key for column in table.columns}


def test_a_missing_table_is_created_and_an_existing_one_is_taken(file: Database) -> None:
    prepare_table(file, "counts", SCHEMA, ["url"], create=True)
    assert columns_in(file, "counts") == {"url": True, "hits": False}
    again = prepare_table(file, "counts", SCHEMA, ["url"], create=False)
    assert again.key == ("url",)
    assert set(again.key_texts) == {"url"}


def test_a_missing_table_that_must_not_be_created_is_an_error(file: Database) -> None:
    with pytest.raises(OptionError, match="the table counts does not exist; create it"):
        prepare_table(file, "counts", SCHEMA, ["url"], create=False)


def test_a_table_with_another_column_is_refused(file: Database) -> None:
    prepare_table(file, "counts", SCHEMA, ["url"], create=True)
    with pytest.raises(OptionError, match="bytes"):
        prepare_table(file, "counts", SCHEMA.append(pa.field("bytes", pa.int64())), ["url"], create=True)


@pytest.mark.parametrize("name", ["", "a b", "a;b", "1st", "\u00e9t\u00e9", "x" * (LONGEST_NAME + 1)])
def test_a_name_that_some_database_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="a name has letters"):
        check_name(name)


def test_the_longest_name_is_taken() -> None:
    check_name("x" * LONGEST_NAME)
