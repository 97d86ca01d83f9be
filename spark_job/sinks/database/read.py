"""Reads a table of a database row by row, ordered by key."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from spark_job.errors import SinkError
from spark_job.sinks.database.columns import instant_in_utc
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.key_text import NO_VALUE
from spark_job.sinks.database.tables import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spark_job.sinks.database.url import DatabaseUrl

ROWS_AT_A_TIME = 1_000


def read_rows(target: DatabaseUrl | Database, table: str) -> Iterator[dict[str, Any]]:
    """Yield each row as column to value, ordered by primary key, from one consistent state.

    Instants are in UTC, decimals from SQLite are text. A key without a value is None; text that is stored in another
    form (see ``key_text``) stays in that form.

    Raises:
        SinkError: the table does not exist, the database is away for too long, or refuses.
    """
    check_name(table)
    with ExitStack() as opened:
        database = target if isinstance(target, Database) else opened.enter_context(Database(target))
        yield from rows_on(opened.enter_context(database.reading()), database, table)


def rows_on(connection: sa.Connection, database: Database, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as :func:`read_rows` does, from the state that a connection reads.

    Raises:
        SinkError: the table does not exist.
    """
    check_name(table)
    if not sa.inspect(connection).has_table(table):
        raise SinkError(f"{database.url}: the table {table} does not exist")
    found = sa.Table(table, sa.MetaData(), autoload_with=connection)
    for column in found.columns:
        if isinstance(column.type, sa.Float):
            # SQLAlchemy would return a float of MariaDB as a rounded decimal.
            column.type.asdecimal = False
    key = list(found.primary_key.columns)
    translate = {column.name: value_reader(column) for column in found.columns}
    query = sa.select(found).order_by(*(_by_bytes(column, database.dialect) for column in key or found.columns))
    result = connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query)
    for row in result.mappings():
        yield {name: translate[name](value) for name, value in row.items()}


def _by_bytes(column: sa.Column[Any], dialect: str) -> sa.ColumnElement[Any]:
    """Return the column for ORDER BY: text by its bytes, whatever the database's language."""
    text = isinstance(column.type, sa.String)
    return sa.collate(column, "C") if text and dialect == "postgresql" else column


def value_reader(column: sa.Column[Any]) -> Callable[[Any], Any]:
    """Return the function from a value of a column, as the driver gives it, to the value that was stored."""
    if isinstance(column.type, sa.DateTime):
        return instant_in_utc
    if column.primary_key and isinstance(column.type, sa.String):
        return _key_text
    if isinstance(column.type, mysql.TINYINT) and column.type.display_width == 1:
        return lambda value: None if value is None else bool(value)
    return lambda value: value


def _key_text(value: str) -> str | None:
    return None if value == NO_VALUE else value
