"""The table of a result is created once, or refused where it does not fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pytest
import sqlalchemy as sa

from spark_job.errors import OptionError
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.tables import LONGEST_NAME, check_name, prepare_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from spark_job.sinks.database import DatabaseUrl

T = TypeVar("T")
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


class Simultaneous(Database):
    """A database whose user waits after the first transaction until another one has come as far."""

    def __init__(self, url: DatabaseUrl, barrier: Barrier) -> None:
        super().__init__(url)
        self._barrier: Barrier | None = barrier

    def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Run the transaction, then wait if it was the first."""
        result = super().transaction(work)
        barrier, self._barrier = self._barrier, None
        if barrier is not None:
            barrier.wait(30)
        return result


def create_at_once(target: DatabaseUrl, name: str, schemas: list[pa.Schema]) -> list[str]:
    """Let each schema be prepared by a user of its own, who have all seen that there is no table; return the errors."""
    barrier = Barrier(len(schemas))

    def create(schema: pa.Schema) -> str:
        with Simultaneous(target, barrier) as database:
            try:
                prepare_table(database, name, schema, ["url"], create=True)
            except OptionError as error:
                return str(error)
            return ""

    with ThreadPoolExecutor(len(schemas)) as pool:
        return list(pool.map(create, schemas))


def test_two_that_create_one_table_at_once_both_get_it(target: DatabaseUrl, database: Database) -> None:
    for attempt in range(5):
        name = f"together_{attempt}"
        assert create_at_once(target, name, [SCHEMA, SCHEMA]) == ["", ""]
        assert columns_in(database, name) == {"url": True, "hits": False}


def test_of_two_that_create_one_table_differently_the_later_is_told(target: DatabaseUrl, database: Database) -> None:
    schemas = [SCHEMA, pa.schema([("url", pa.string()), ("bytes", pa.int64())])]
    for attempt in range(5):
        name = f"apart_{attempt}"
        errors = create_at_once(target, name, schemas)
        (winner,) = (schema for schema, error in zip(schemas, errors, strict=True) if not error)
        assert list(columns_in(database, name)) == winner.names
        (told,) = (error for error in errors if error)
        assert f"the table {name} does not fit the result" in told


@pytest.mark.parametrize("name", ["", "a b", "a;b", "1st", "\u00e9t\u00e9", "x" * (LONGEST_NAME + 1)])
def test_a_name_that_some_database_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="a name has letters"):
        check_name(name)


def test_the_longest_name_is_taken() -> None:
    check_name("x" * LONGEST_NAME)
