"""The statements in which the databases differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa
    from sqlalchemy.sql.dml import Insert


def upsert_rows(table: sa.Table, key: Sequence[str], dialect: str, source: sa.Select[Any] | None = None) -> Insert:
    """Return the statement that inserts rows, or changes the ones that have their key.

    Args:
        table: into which.
        key: columns of its primary key, or of a unique index.
        dialect: name of the database's dialect.
        source: a query that gives the rows; None: they come as parameters.
    """
    rest = [column.name for column in table.columns if column.name not in key]
    names = [column.name for column in table.columns]
    if dialect in ("mysql", "mariadb"):
        into = mysql.insert(table) if source is None else mysql.insert(table).from_select(names, source)
        # Where the row is nothing but its key, the change is one that changes nothing.
        return into.on_duplicate_key_update({name: into.inserted[name] for name in rest or key[:1]})
    choose = postgresql.insert if dialect == "postgresql" else sqlite.insert
    new = choose(table) if source is None else choose(table).from_select(names, source)
    if not rest:
        return new.on_conflict_do_nothing(index_elements=list(key))
    return new.on_conflict_do_update(index_elements=list(key), set_={name: new.excluded[name] for name in rest})


def insert_missing(table: sa.Table, dialect: str) -> Insert:
    """Return the statement that inserts a row unless one with its primary key is there."""
    key = [column.name for column in table.primary_key]
    if dialect in ("mysql", "mariadb"):
        return mysql.insert(table).on_duplicate_key_update({key[0]: table.c[key[0]]})
    choose = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return choose(table).on_conflict_do_nothing(index_elements=key)
