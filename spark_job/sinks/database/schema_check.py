"""Checks whether an existing table can take a result, and says what does not fit.

A table fits if

- each column of the result has one of the same name that holds all its values, unchanged;
- its primary key, or a unique index, is exactly the key of the result, and compares text byte by byte;
- no other column requires a value;
- in MariaDB and MySQL, it has no other unique index: an upsert would change the row that it finds by that index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from spark_job.errors import OptionError
from spark_job.sinks.database.columns import EXACT_COLLATIONS, Instant
from spark_job.sinks.database.key_text import SHORTEST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine.interfaces import ReflectedColumn
    from sqlalchemy.types import TypeEngine

    from spark_job.sinks.database.connection import Database

INTEGER_BITS: tuple[tuple[type[TypeEngine[Any]], int], ...] = (
    (mysql.TINYINT, 8),
    (sa.SmallInteger, 16),
    (mysql.MEDIUMINT, 24),
    (sa.BigInteger, 64),
    (sa.Integer, 32),
)
"""Sizes of integer types. The first entry that a type is an instance of counts, so subclasses come first."""
FRACTION_DIGITS = 6
WORDS: dict[type[TypeEngine[Any]], str] = {
    sa.Boolean: "boolean",
    sa.SmallInteger: "smallint",
    sa.BigInteger: "bigint",
    sa.Integer: "int",
    sa.Double: "double",
    sa.Text: "string",
    sa.String: "string",
    sa.LargeBinary: "binary",
    sa.Date: "date",
    Instant: "timestamp",
    sa.Numeric: "decimal",
}


def check_fit(database: Database, wanted: sa.Table, found: Sequence[ReflectedColumn]) -> None:
    """Compare an existing table with the one that would be created.

    Raises:
        OptionError: it does not fit; the text names the columns and the types of both sides.
        SinkError: the database is away for too long, or refuses.
    """
    problems = _column_problems(wanted, found, database.dialect)
    problems += database.transaction(lambda connection: _key_problems(sa.inspect(connection), wanted, database.dialect))
    if problems:
        raise OptionError(f"{database.url}: the table {wanted.name} does not fit the result: {'; '.join(problems)}")


def _column_problems(wanted: sa.Table, found: Sequence[ReflectedColumn], dialect: str) -> list[str]:
    there = {column["name"]: column for column in found}
    problems = []
    for column in wanted.columns:
        if column.name not in there:
            problems.append(f"it has no column {column.name} ({_word(column.type)}), only {', '.join(there)}")
            continue
        present = there[column.name]
        problem = _problem(column, present["type"], dialect)
        if problem is not None:
            kinds = f"{_word(column.type)} in the result and {_shown(present)} in the table"
            problems.append(f"{column.name} is {kinds}{problem}")
    for name, present in there.items():
        filled = any(present.get(way) for way in ("default", "computed", "identity"))
        if name not in wanted.columns and not present["nullable"] and not filled:
            problems.append(f"its column {name} ({_shown(present)}) needs a value, and the result has none")
    return problems


def _word(kind: TypeEngine[Any]) -> str:
    return next((word for base, word in WORDS.items() if isinstance(kind, base)), str(kind))


def _shown(column: ReflectedColumn) -> str:
    return str(column["type"]).lower()


def _problem(column: sa.Column[Any], there: TypeEngine[Any], dialect: str) -> str | None:
    """Return a remark, maybe empty, if ``there`` cannot hold the column's values; None if it can."""
    wanted = column.type
    if isinstance(wanted, sa.Integer):
        return _integer_problem(wanted, there, dialect)
    if isinstance(wanted, sa.Numeric) and not isinstance(wanted, sa.Float):
        return _decimal_problem(wanted, there)
    if isinstance(wanted, Instant):
        return _instant_problem(there, dialect)
    if isinstance(wanted, sa.String):
        return _text_problem(column, there, dialect)
    if isinstance(wanted, sa.Boolean):
        fits = isinstance(there, sa.Boolean) or _is_mysql_boolean(there)
    elif isinstance(wanted, sa.Float):
        single = isinstance(there, sa.REAL | mysql.FLOAT) and dialect != "sqlite"
        fits = isinstance(there, sa.Float) and not single
    elif isinstance(wanted, sa.Date):
        fits = isinstance(there, sa.Date)
    else:
        fits = isinstance(there, mysql.LONGBLOB if dialect in EXACT_COLLATIONS else sa.LargeBinary)
    return None if fits else ""


def _integer_problem(wanted: sa.Integer, there: TypeEngine[Any], dialect: str) -> str | None:
    if not isinstance(there, sa.Integer) or _is_mysql_boolean(there):
        return ""
    # MySQL has unsigned types, which cannot hold negative numbers.
    unsigned = bool(getattr(there, "unsigned", False))
    fits = dialect == "sqlite" or (_bits(there) >= _bits(wanted) and not unsigned)
    return None if fits else ", which is too small"


def _bits(kind: TypeEngine[Any]) -> int:
    return next(bits for base, bits in INTEGER_BITS if isinstance(kind, base))


def _is_mysql_boolean(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, mysql.TINYINT) and kind.display_width == 1


def _decimal_problem(wanted: sa.Numeric[Any], there: TypeEngine[Any]) -> str | None:
    if not isinstance(there, sa.Numeric) or isinstance(there, sa.Float):
        return ""
    if there.precision is None:
        return None
    scale, wanted_scale = there.scale or 0, wanted.scale or 0
    fits = scale >= wanted_scale and there.precision - scale >= (wanted.precision or 0) - wanted_scale
    return None if fits else ", which is too small"


def _instant_problem(there: TypeEngine[Any], dialect: str) -> str | None:
    if dialect == "postgresql":
        with_zone = isinstance(there, sa.DateTime) and there.timezone
        return None if with_zone else ", which is no timestamp with time zone"
    if dialect == "sqlite":
        return None if isinstance(there, sa.DateTime) else ""
    exact = isinstance(there, mysql.DATETIME) and there.fsp == FRACTION_DIGITS
    return None if exact else ", which is no datetime(6)"


def _text_problem(column: sa.Column[Any], there: TypeEngine[Any], dialect: str) -> str | None:
    if not isinstance(there, sa.String):
        return ""
    if dialect == "sqlite":
        return None
    length = there.length
    if isinstance(there, sa.CHAR):
        return ", which fills text up with blanks"
    if column.primary_key:
        collation = getattr(there, "collation", None)
        if dialect in EXACT_COLLATIONS and collation not in EXACT_COLLATIONS.values():
            exact = EXACT_COLLATIONS[dialect]
            return f" with the collation {collation}, which treats different keys as equal; use {exact}"
        too_short = length is not None and length < SHORTEST_LIMIT
        return f", and a key needs {SHORTEST_LIMIT} characters" if too_short else None
    if isinstance(there, mysql.LONGTEXT):
        return None
    if dialect in EXACT_COLLATIONS or length is not None:
        return ", which is too short for any text"
    return None


def _key_problems(inspector: sa.Inspector, wanted: sa.Table, dialect: str) -> list[str]:
    key = {column.name for column in wanted.primary_key}
    primary = set(inspector.get_pk_constraint(wanted.name)["constrained_columns"])
    # An index over an expression has None instead of a column name.
    indexes = [index for index in inspector.get_indexes(wanted.name) if index["unique"]]
    unique = [{name or "an expression" for name in index["column_names"]} for index in indexes]
    unique += [set(each["column_names"]) for each in inspector.get_unique_constraints(wanted.name)]
    present = [primary, *unique] if primary else unique
    if key not in present:
        named = " and ".join(_listed(columns) for columns in present) or "none"
        return [f"the key is {_listed(key)} in the result and {named} in the table"]
    others = [columns for columns in present if columns != key]
    if others and dialect in EXACT_COLLATIONS:
        return [f"it has a second unique index {_listed(others[0])}, by which an upsert could change another row"]
    return []


def _listed(columns: set[str]) -> str:
    return f"({', '.join(sorted(columns))})"
