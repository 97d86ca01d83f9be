"""Column types of a result in each database, by Arrow type; each field of a struct becomes a column.

====================  ==============  ============================  =============================  ====================
in the result         SQLite          PostgreSQL                    MariaDB, MySQL                 note
====================  ==============  ============================  =============================  ====================
boolean               BOOLEAN         boolean                       BOOL
byte, short           SMALLINT        smallint                      SMALLINT
int                   INTEGER         integer                       INTEGER
bigint                BIGINT          bigint                        BIGINT
float, double         DOUBLE          double precision              DOUBLE                         not in a key
decimal(p, s)         TEXT            numeric(p, s)                 NUMERIC(p, s)
string, in the key    TEXT            text                          VARCHAR(640), binary           see key_text.py
string                TEXT            text                          LONGTEXT
binary                BLOB            bytea                         LONGBLOB                       not in a key
date                  DATE            date                          DATE
timestamp             DATETIME, UTC   timestamp with time zone      DATETIME(6), UTC               microseconds
struct                                                              its fields, named struct_field  window_start, ...
====================  ==============  ============================  =============================  ====================

Arrays, maps and timestamps without a time zone are refused. NaN and infinity are stored as NULL: only PostgreSQL can
hold them, and no reader of the others expects them.

Key text must be compared byte by byte: the default collations of MariaDB and MySQL treat "/a", "/A" and "/a " as equal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

KEY_CHARACTERS = 640
"""Shared by all text columns of a key: at most 2,560 bytes of InnoDB's 3,072, which leaves room for others."""
EXACT_COLLATIONS = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}
WITHOUT_TRANSLATION = ("sqlite", "postgresql")


class Instant(TypeDecorator[datetime]):
    """An instant with a time zone; stored in UTC by databases that keep no zone."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        """Return the type of the database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        if dialect.name in EXACT_COLLATIONS:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant as the driver takes it."""
        if value is None:
            return None
        utc = value if value.tzinfo is UTC else value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what the driver gives as an instant in UTC."""
        return instant_in_utc(value)


def instant_in_utc(value: datetime | None) -> datetime | None:
    """Return what a driver gives for an instant: without a time zone, it is in UTC."""
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def flat_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema in which each field of a struct is a column, named ``struct_field``.

    Raises:
        OptionError: two columns get the same name.
    """
    flat = pa.schema(list(_flat_fields(schema)))
    # Most databases ignore case in column names.
    names = [name.lower() for name in flat.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(f"the result has two columns of the same name: {', '.join(twice)}")
    return flat


def _flat_fields(fields: pa.Schema | pa.StructType, prefix: str = "") -> Iterator[pa.Field]:
    for field in fields:
        name = prefix + field.name
        if pa.types.is_struct(field.type):
            yield from _flat_fields(field.type, f"{name}_")
        else:
            yield pa.field(name, field.type)


def flat_table(rows: pa.Table) -> pa.Table:
    """Return the rows with the columns of :func:`flat_schema`."""
    while any(pa.types.is_struct(field.type) for field in rows.schema):
        names = [
            f"{field.name}_{inner.name}" if inner is not None else field.name
            for field in rows.schema
            for inner in (field.type if pa.types.is_struct(field.type) else [None])
        ]
        rows = rows.flatten().rename_columns(names)
    return rows


def flat_key(key: Sequence[str], schema: pa.Schema) -> list[str]:
    """Return the columns of a key; a struct stands for all its fields.

    Raises:
        OptionError: the result has no such column, or the key is empty.
    """
    found: list[str] = []
    flat = flat_schema(schema).names
    structs = {field.name: field.type for field in schema if pa.types.is_struct(field.type)}
    for name in key:
        if name in structs:
            found += [field.name for field in _flat_fields(structs[name], f"{name}_")]
        elif name in flat:
            found.append(name)
        else:
            raise OptionError(f"key {name!r}: the result has no such column; it has {', '.join(flat)}")
    if not found:
        raise OptionError("the key is empty; name the columns that tell the rows of the result apart")
    return found


def columns_of(schema: pa.Schema, key: Sequence[str], dialect: str) -> list[sa.Column[Any]]:
    """Return the columns of a table for results of a flat schema.

    Raises:
        OptionError: a column has a type that no table can hold, or that cannot be part of a key.
    """
    limit = text_limit([name for name in key if is_text(schema.field(name).type)])
    return [
        sa.Column(
            field.name,
            _key_type(field, limit, dialect) if field.name in key else _type(field, dialect),
            primary_key=field.name in key,
            nullable=field.name not in key,
            autoincrement=False,
        )
        for field in schema
    ]


def text_limit(texts: Sequence[str]) -> int:
    """Return how many characters each text column of a key may have in a database with bounded indexes."""
    return KEY_CHARACTERS // max(len(texts), 1)


def is_text(kind: pa.DataType) -> bool:
    """Say whether an Arrow type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _key_type(field: pa.Field, limit: int, dialect: str) -> TypeEngine[Any]:
    kind = field.type
    if pa.types.is_floating(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise OptionError(f"key {field.name!r}: {kind} cannot be part of a key; cast it to decimal, or to text")
    if is_text(kind) and dialect in EXACT_COLLATIONS:
        return mysql.VARCHAR(limit, charset="utf8mb4", collation=EXACT_COLLATIONS[dialect])
    return _type(field, dialect)


def _type(field: pa.Field, dialect: str) -> TypeEngine[Any]:
    kind = field.type
    translated = dialect not in WITHOUT_TRANSLATION
    choices: list[tuple[bool, TypeEngine[Any]]] = [
        (pa.types.is_boolean(kind), sa.Boolean()),
        (pa.types.is_int8(kind) or pa.types.is_int16(kind), sa.SmallInteger()),
        (pa.types.is_int32(kind), sa.Integer()),
        (pa.types.is_int64(kind), sa.BigInteger()),
        (pa.types.is_floating(kind), sa.Double()),
        (is_text(kind), mysql.LONGTEXT(charset="utf8mb4") if translated else sa.Text()),
        (
            pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
            mysql.LONGBLOB() if translated else sa.LargeBinary(),
        ),
        (pa.types.is_date32(kind), sa.Date()),
        (pa.types.is_timestamp(kind) and kind.tz is not None, Instant()),
    ]
    if pa.types.is_decimal(kind):
        # SQLite has floating point numbers only; text keeps every digit.
        return sa.Text() if dialect == "sqlite" else sa.Numeric(kind.precision, kind.scale)
    for matches, chosen in choices:
        if matches:
            return chosen
    if pa.types.is_timestamp(kind):
        raise OptionError(f"column {field.name!r} is a time without a zone; cast it to timestamp")
    raise OptionError(f"column {field.name!r} is {kind}, which a table cannot hold; select its parts, or use to_json")
