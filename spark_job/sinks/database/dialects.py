"""The statements in which the databases differ: inserts that update or keep an existing row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa
    from sqlalchemy.sql.dml import Insert


def upsert_rows(table: sa.Table, key: Sequence[str], dialect: str, source: sa.Select[Any] | None = None) -> Insert:
    """Return the statement that inserts rows, and updates existing rows with the same key.

    Args:
        table: the table.
        key: columns of its primary key, or of a unique index.
        dialect: name of the database's dialect.
        source: a query for the rows; None: they are parameters.
    """
    rest = [column.name for column in table.columns if column.name not in key]
    names = [column.name for column in table.columns]
    if dialect in ("mysql", "mariadb"):
        into = mysql.insert(table) if source is None else mysql.insert(table).from_select(names, source)
        # A row may have no column besides its key, but the clause needs one: setting the key to itself changes nothing.
        return into.on_duplicate_key_update({name: into.inserted[name] for name in rest or key[:1]})
    choose = postgresql.insert if dialect == "postgresql" else sqlite.insert
    new = choose(table) if source is None else choose(table).from_select(names, source)
    if not rest:
        return new.on_conflict_do_nothing(index_elements=list(key))
    return new.on_conflict_do_update(index_elements=list(key), set_={name: new.excluded[name] for name in rest})


def insert_missing(table: sa.Table, dialect: str) -> Insert:
    """Return the statement that inserts a row unless one with the same primary key exists."""
    key = [column.name for column in table.primary_key]
    if dialect in ("mysql", "mariadb"):
        return mysql.insert(table).on_duplicate_key_update({key[0]: table.c[key[0]]})
    choose = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return choose(table).on_conflict_do_nothing(index_elements=key)
