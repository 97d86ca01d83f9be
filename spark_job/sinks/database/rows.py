"""Turns Arrow rows into the parameters of a statement: values that every driver takes, keys in their stored form."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_job.errors import SinkError
from spark_job.sinks.database.columns import is_text
from spark_job.sinks.database.key_text import storable

if TYPE_CHECKING:
    from spark_job.sinks.database.key_text import KeyText
    from spark_job.sinks.database.tables import ResultTable

SHOWN_CHARACTERS = 80


def bound_rows(rows: pa.Table, target: ResultTable, *, decimals_as_text: bool) -> list[dict[str, Any]]:
    """Return flat rows as the parameters of an upsert, ordered by key.

    The order prevents deadlocks: two transactions that lock the same rows in the same order wait for each other.

    Args:
        rows: a flat table.
        target: the table for the rows.
        decimals_as_text: for a database without decimal numbers.

    Raises:
        SinkError: two rows have one key, a key column has no value, or a time is beyond year 9999.
    """
    names = rows.column_names
    columns = [_values(name, rows.column(name), target.key_texts.get(name), decimals_as_text) for name in names]
    by_name = dict(zip(names, columns, strict=True))
    for name in target.key:
        if None in by_name[name]:
            raise SinkError(f"key {name!r} has no value in a row of the result; give it one, with coalesce or a filter")
    # Compared in their stored form: what the database would take for one row must be noticed here.
    keys = list(zip(*(by_name[name] for name in target.key), strict=True))
    if len(set(keys)) < len(keys):
        doubled, times = Counter(keys).most_common(1)[0]
        shown = ", ".join(str(part)[:SHOWN_CHARACTERS] for part in doubled)
        raise SinkError(f"{times} rows of the result have the same key ({', '.join(target.key)}): {shown!r}")
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [dict(zip(names, (column[place] for column in columns), strict=True)) for place in order]


def _values(name: str, column: pa.ChunkedArray, key_text: KeyText | None, decimals_as_text: bool) -> list[Any]:  # noqa: FBT001
    kind = column.type
    if is_text(kind):
        texts = _texts(column)
        if key_text is not None:
            return [key_text.stored(text) for text in texts]
        return [storable(text) for text in texts]
    if pa.types.is_floating(kind):
        return [value if value is not None and math.isfinite(value) else None for value in column.to_pylist()]
    if pa.types.is_decimal(kind) and decimals_as_text:
        return [None if value is None else str(value) for value in column.to_pylist()]
    try:
        values: list[Any] = _instants(column) if pa.types.is_timestamp(kind) else column.to_pylist()
    except (ValueError, OverflowError):
        raise SinkError(f"column {name!r} has a time beyond the years 1 to 9999, which no database keeps") from None
    return values


def _instants(column: pa.ChunkedArray) -> list[datetime | None]:
    """Return instants in UTC. In a zone with summer time Python takes two different instants for equal."""
    # to_pylist takes half the time without a zone, and Arrow's plain values are in UTC.
    times: list[datetime | None] = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us")).to_pylist()
    return [None if instant is None else instant.replace(tzinfo=UTC) for instant in times]


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    try:
        texts: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        # A string of Spark may hold any bytes: cast(body AS string) checks nothing.
        raws = column.cast(pa.large_binary()).to_pylist()
        return [None if raw is None else raw.decode("utf-8", "surrogateescape") for raw in raws]
    return texts
