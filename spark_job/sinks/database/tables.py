"""Creates the table of a result, or refuses an existing one that does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from spark_job.errors import OptionError, SinkError
from spark_job.sinks.database.columns import columns_of, is_text, text_limit
from spark_job.sinks.database.key_text import KeyText
from spark_job.sinks.database.schema_check import check_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from sqlalchemy.engine.interfaces import ReflectedColumn

    from spark_job.sinks.database.connection import Database

LONGEST_NAME = 63
"""Bytes of a table's name: PostgreSQL's limit, the smallest of all."""
MYSQL_OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in {"engine": "InnoDB", "charset": "utf8mb4", "row_format": "DYNAMIC"}.items()
}


@dataclass(frozen=True)
class ResultTable:
    """A table that exists and fits.

    Attributes:
        table: the table for statements.
        key: the columns of the key.
        key_texts: how the text columns of the key are stored.
    """

    table: sa.Table
    key: tuple[str, ...]
    key_texts: dict[str, KeyText]


def check_name(name: str) -> None:
    """Refuse a name that some database cannot give to a table.

    Raises:
        OptionError: it is empty, too long, or has other characters than letters, digits and underscores.
    """
    if not name.isidentifier() or not name.isascii() or len(name) > LONGEST_NAME:
        raise OptionError(f"table {name!r}: a name has letters, digits and underscores, {LONGEST_NAME} at most")


def prepare_table(database: Database, name: str, schema: pa.Schema, key: Sequence[str], *, create: bool) -> ResultTable:
    """Return the table for results of a flat schema; create it if it is missing.

    Args:
        database: the database.
        name: of the table.
        schema: of the result, flat.
        key: the key columns.
        create: whether to create a missing table; otherwise it is an error.

    Raises:
        OptionError: the table is missing and must not be created, or does not fit; the text names both sides.
        SinkError: the database is away for too long, or refuses.
    """
    check_name(name)
    table = sa.Table(name, sa.MetaData(), *columns_of(schema, key, database.dialect), **MYSQL_OPTIONS)
    found = ensure_table(database, table, create=create)
    check_fit(database, table, found)
    return ResultTable(table, tuple(key), _key_texts(schema, key, database.dialect, found))


def _key_texts(
    schema: pa.Schema, key: Sequence[str], dialect: str, found: Sequence[ReflectedColumn]
) -> dict[str, KeyText]:
    texts = [name for name in key if is_text(schema.field(name).type)]
    if dialect == "sqlite":
        return dict.fromkeys(texts, KeyText(holds_nul=True))
    lengths = {column["name"]: getattr(column["type"], "length", None) for column in found}
    limit = text_limit(texts)
    return {name: KeyText(min(limit, lengths.get(name) or limit)) for name in texts}


def ensure_table(database: Database, table: sa.Table, *, create: bool) -> list[ReflectedColumn]:
    """Create a table unless it exists; return the columns that it has.

    These can differ from ``table`` even if there was none: another process may create it at the same moment.

    Raises:
        OptionError: it is missing and must not be created.
        SinkError: the database is away for too long, or refuses.
    """

    def look(connection: sa.Connection) -> list[ReflectedColumn] | None:
        inspector = sa.inspect(connection)
        return inspector.get_columns(table.name) if inspector.has_table(table.name) else None

    found = database.transaction(look)
    if found is not None:
        return found
    if not create:
        raise OptionError(
            f"{database.url}: the table {table.name} does not exist; create it, or allow it to be created"
        )
    refused: SinkError | None = None
    try:
        database.transaction(lambda connection: connection.execute(CreateTable(table, if_not_exists=True)))
    except SinkError as error:
        # In PostgreSQL, two transactions that create one table at the same moment fail, but one of them created it.
        refused = error
    # IF NOT EXISTS does not say whose table it is now.
    found = database.transaction(look)
    if found is None:
        raise refused or SinkError(f"{database.url}: the table {table.name} was dropped right after it was created")
    return found
