"""Whether a table that is there can take a result, and what is wrong where it cannot.

A table fits when

- each column of the result has one of the same name that holds all its values, unchanged;
- its primary key, or a unique index, is exactly the key of the result, and compares text byte by byte;
- no further column has to be given a value;
- in MariaDB and MySQL: no other unique index is there. An upsert would change the row that it finds by that one.
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
"""The first that an integer type is an instance of says how large it is."""
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
    """Compare a table that is there with the one that would have been made.

    Raises:
        OptionError: it does not fit; the text names the columns and the types of both sides.
        SinkError: the database is gone for too long, or refuses.
    """
    faults = _column_faults(wanted, found, database.dialect)
    faults += database.transaction(lambda connection: _key_faults(sa.inspect(connection), wanted, database.dialect))
    if faults:
        raise OptionError(f"{database.target}: the table {wanted.name} does not fit the result: {'; '.join(faults)}")


def _column_faults(wanted: sa.Table, found: Sequence[ReflectedColumn], dialect: str) -> list[str]:
    there = {column["name"]: column for column in found}
    faults = []
    for column in wanted.columns:
        if column.name not in there:
            faults.append(f"it has no column {column.name} ({_word(column.type)}), only {', '.join(there)}")
            continue
        present = there[column.name]
        fault = _fault(column, present["type"], dialect)
        if fault is not None:
            kinds = f"{_word(column.type)} in the result and {_shown(present)} in the table"
            faults.append(f"{column.name} is {kinds}{fault}")
    for name, present in there.items():
        filled = any(present.get(way) for way in ("default", "computed", "identity"))
        if name not in wanted.columns and not present["nullable"] and not filled:
            faults.append(f"its column {name} ({_shown(present)}) needs a value, and the result has none")
    return faults


def _word(kind: TypeEngine[Any]) -> str:
    return next((word for base, word in WORDS.items() if isinstance(kind, base)), str(kind))


def _shown(column: ReflectedColumn) -> str:
    return str(column["type"]).lower()


def _fault(column: sa.Column[Any], there: TypeEngine[Any], dialect: str) -> str | None:
    """Return what is to be said beside the two types when ``there`` does not hold the column's values; else None."""
    wanted = column.type
    if isinstance(wanted, sa.Integer):
        return _integer_fault(wanted, there, dialect)
    if isinstance(wanted, sa.Numeric) and not isinstance(wanted, sa.Float):
        return _decimal_fault(wanted, there)
    if isinstance(wanted, Instant):
        return _instant_fault(there, dialect)
    if isinstance(wanted, sa.String):
        return _text_fault(column, there, dialect)
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


def _integer_fault(wanted: sa.Integer, there: TypeEngine[Any], dialect: str) -> str | None:
    if not isinstance(there, sa.Integer) or _is_mysql_boolean(there):
        return ""
    # A type of MySQL may be unsigned; half of it then is what counts.
    unsigned = bool(getattr(there, "unsigned", False))
    fits = dialect == "sqlite" or (_bits(there) >= _bits(wanted) and not unsigned)
    return None if fits else ", which is too small"


def _bits(kind: TypeEngine[Any]) -> int:
    return next(bits for base, bits in INTEGER_BITS if isinstance(kind, base))


def _is_mysql_boolean(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, mysql.TINYINT) and kind.display_width == 1


def _decimal_fault(wanted: sa.Numeric[Any], there: TypeEngine[Any]) -> str | None:
    if not isinstance(there, sa.Numeric) or isinstance(there, sa.Float):
        return ""
    if there.precision is None:
        return None
    scale, wanted_scale = there.scale or 0, wanted.scale or 0
    fits = scale >= wanted_scale and there.precision - scale >= (wanted.precision or 0) - wanted_scale
    return None if fits else ", which is too small"


def _instant_fault(there: TypeEngine[Any], dialect: str) -> str | None:
    if dialect == "postgresql":
        with_zone = isinstance(there, sa.DateTime) and there.timezone
        return None if with_zone else ", which is no timestamp with time zone"
    if dialect == "sqlite":
        return None if isinstance(there, sa.DateTime) else ""
    exact = isinstance(there, mysql.DATETIME) and there.fsp == FRACTION_DIGITS
    return None if exact else ", which is no datetime(6)"


def _text_fault(column: sa.Column[Any], there: TypeEngine[Any], dialect: str) -> str | None:
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
            return f" with the collation {collation}, which takes different keys for the same; {exact} does not"
        too_short = length is not None and length < SHORTEST_LIMIT
        return f", and a key needs {SHORTEST_LIMIT} characters" if too_short else None
    if isinstance(there, mysql.LONGTEXT):
        return None
    if dialect in EXACT_COLLATIONS or length is not None:
        return ", which is too short for any text"
    return None


def _key_faults(inspector: sa.Inspector, wanted: sa.Table, dialect: str) -> list[str]:
    key = {column.name for column in wanted.primary_key}
    primary = set(inspector.get_pk_constraint(wanted.name)["constrained_columns"])
    # An index over an expression has None in the place of a column.
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
