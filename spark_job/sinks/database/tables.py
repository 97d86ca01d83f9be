"""The table of a result: made when it is not there, refused when it does not fit."""

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
"""Of a table, in bytes: PostgreSQL's limit, and the smallest."""
MYSQL_OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in {"engine": "InnoDB", "charset": "utf8mb4", "row_format": "DYNAMIC"}.items()
}


@dataclass(frozen=True)
class ResultTable:
    """A table that is there and fits.

    Attributes:
        table: what statements are made from.
        key: the key's columns.
        key_texts: how the text columns of the key are stored.
    """

    table: sa.Table
    key: tuple[str, ...]
    key_texts: dict[str, KeyText]


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a table everywhere.

    Raises:
        OptionError: it is empty, too long, or has characters that no name should have.
    """
    if not name.isidentifier() or not name.isascii() or len(name) > LONGEST_NAME:
        raise OptionError(f"table {name!r}: a name has letters, digits and underscores, at most {LONGEST_NAME} of them")


def prepare_table(database: Database, name: str, schema: pa.Schema, key: Sequence[str], *, create: bool) -> ResultTable:
    """Return the table for results of a flat schema, making it when it is not there.

    Args:
        database: where.
        name: of the table.
        schema: of the result, flat.
        key: columns of it.
        create: make the table when it is not there; otherwise that is an error.

    Raises:
        OptionError: the table is not there and not to be made, or does not fit; the text names both sides.
        SinkError: the database is gone for too long, or refuses.
    """
    check_name(name)
    table = sa.Table(name, sa.MetaData(), *columns_of(schema, key, database.dialect), **MYSQL_OPTIONS)
    found = ensure_table(database, table, create=create)
    if found is not None:
        check_fit(database, table, found)
    return ResultTable(table, tuple(key), _key_texts(schema, key, database.dialect, found or []))


def _key_texts(
    schema: pa.Schema, key: Sequence[str], dialect: str, found: Sequence[ReflectedColumn]
) -> dict[str, KeyText]:
    texts = [name for name in key if is_text(schema.field(name).type)]
    if dialect == "sqlite":
        return dict.fromkeys(texts, KeyText(holds_nul=True))
    lengths = {column["name"]: getattr(column["type"], "length", None) for column in found}
    limit = text_limit(texts)
    return {name: KeyText(min(limit, lengths.get(name) or limit)) for name in texts}


def ensure_table(database: Database, table: sa.Table, *, create: bool) -> list[ReflectedColumn] | None:
    """Make a table unless it is there; return the columns of one that was there, None for one that was made.

    Raises:
        OptionError: it is not there and not to be made.
        SinkError: the database is gone for too long, or refuses.
    """

    def look(connection: sa.Connection) -> list[ReflectedColumn] | None:
        inspector = sa.inspect(connection)
        return inspector.get_columns(table.name) if inspector.has_table(table.name) else None

    found = database.transaction(look)
    if found is None:
        if not create:
            raise OptionError(f"{database.target}: there is no table {table.name}, and it is not to be made")
        try:
            database.transaction(lambda connection: connection.execute(CreateTable(table, if_not_exists=True)))
        except SinkError:
            # Two that make a table at the same moment stop each other in PostgreSQL; one of them has made it.
            found = database.transaction(look)
            if found is None:
                raise
    return found
