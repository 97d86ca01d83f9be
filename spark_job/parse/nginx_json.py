"""Extracts the fields from JSON lines as nginx writes them (``log_format ... escape=json``), one object per line.

========================================================  =============================================================
names (the first that is present and not empty counts)    feed
========================================================  =============================================================
``msec``, ``time_iso8601``, ``time_local``, ``time``      time: seconds since 1970, ISO 8601, or as Apache writes it
``remote_addr``, ``client_ip``... see :data:`NAMES`       the column that :data:`NAMES` says
``request``                                               the request line; or ``request_method`` with ``request_uri``
                                                          (or ``uri`` and ``args``) and ``server_protocol``
========================================================  =============================================================

The names are nginx's variables, and the short names that people give them. Their values are strings or numbers; other
names may have any value, and are ignored. If a name occurs twice, the last one counts.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from spark_job.parse.extract import Extraction
from spark_job.parse.json_shapes import JsonShape
from spark_job.parse.schema import Reason
from spark_job.parse.times import APACHE, EPOCH_SECONDS, ISO_8601, TimePattern

NAMES: dict[str, tuple[str, ...]] = {
    "time": ("msec", "time_iso8601", "time_local", "time", "timestamp"),
    "host": ("remote_addr", "client_ip", "client"),
    "user": ("remote_user", "user"),
    "status": ("status",),
    "bytes": ("body_bytes_sent", "bytes_sent", "bytes"),
    "referrer": ("http_referer", "http_referrer", "referer", "referrer"),
    "agent": ("http_user_agent", "user_agent", "agent"),
    "duration": ("request_time", "duration"),
    "request": ("request",),
}
"""The names that feed each column, the preferred one first."""

_METHOD = ("request_method", "method")
_TARGET = ("request_uri", "uri")
_PROTOCOL = ("server_protocol", "protocol")
_QUERY = ("args", "query_string")
_NUMBERS = {
    "status": r"^[0-9]{3}$",
    "bytes": r"^(?:[0-9]{1,18}|-)$",
    "duration": r"^(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|-)$",
}

_ASKED = frozenset((*_METHOD, *_TARGET, *_PROTOCOL, *_QUERY, *(name for names in NAMES.values() for name in names)))
_SCHEMA = dict.fromkeys((*NAMES, "error"), pl.String())

MAX_SHAPES = 4
"""The most shapes that are tried on a column; lines of other shapes are read one by one."""
LINES_TO_TRY = 20
"""The most lines that are looked at to find one that has a shape."""

TIME_PATTERNS = (TimePattern(EPOCH_SECONDS), TimePattern(ISO_8601), TimePattern(APACHE))


class JsonExtractor:
    """Extracts the fields from JSON lines.

    Lines of one shape are read column-wise (:mod:`.json_shapes`). The standard library reads the others one by one, and
    defines the result. Polars' reader of JSON columns cannot be used: it joins the rows, so that a line with two
    values, or with half a value, moves or spoils its neighbours.
    """

    def extract(self, lines: pl.Series, roles: set[str]) -> Extraction:
        """Return the texts of the fields with the given roles; null where a line lacks the names."""
        # Check all fields, wanted or not: whether a line is malformed must not depend on the wanted columns.
        texts = _by_shape(lines)
        ill_typed = [~pl.col(role).str.contains(pattern) for role, pattern in _NUMBERS.items()]
        errors = texts.select(
            pl.when(pl.col("error").is_null() & pl.any_horizontal(*ill_typed).fill_null(value=False))
            .then(pl.lit(str(Reason.WRONG_TYPE)))
            .otherwise("error")
            .alias("error")
        ).to_series()
        return Extraction(texts.select(sorted(roles)), errors if errors.null_count() < len(errors) else None)


def _by_shape(lines: pl.Series) -> pl.DataFrame:
    """Return the texts of every role and the error of each line; a few shapes read most of the lines."""
    rows = pl.int_range(len(lines), eager=True)
    rest = lines
    places: list[pl.Series] = []
    parts: list[pl.DataFrame] = []
    for _ in range(MAX_SHAPES):
        shape = next(filter(None, (JsonShape.of(line, _ASKED) for line in rest.head(LINES_TO_TRY))), None)
        if shape is None:
            break
        texts, matched = shape.read(rest)
        parts.append(_roles(texts))
        places.append(rows.gather(matched))
        left = pl.int_range(len(rest), eager=True).is_in(matched.implode()).not_().arg_true()
        rows, rest = rows.gather(left), rest.gather(left)
        if rest.is_empty():
            break
    parts.append(pl.DataFrame([_texts(line) for line in rest], schema=_SCHEMA, orient="row"))
    whole = pl.concat(parts)
    if len(rest) == len(lines) or len(parts[0]) == len(lines):
        return whole
    # The parts are by shape; this puts the lines back into the order of the input.
    return whole[pl.concat([*places, rows]).arg_sort()]


def _roles(texts: pl.DataFrame) -> pl.DataFrame:
    """Return the same as :func:`_texts`, for many lines whose names have these texts."""

    def first(names: tuple[str, ...]) -> pl.Expr:
        there = [pl.when(pl.col(name) != "").then(name) for name in names if name in texts.columns]
        return pl.coalesce(*there) if there else pl.lit(None, dtype=pl.String)

    target, query = first(_TARGET), first(_QUERY)
    target = (
        pl.when(query.is_not_null() & ~target.str.contains("?", literal=True))
        .then(target + "?" + query)
        .otherwise(target)
    )
    method = first(_METHOD)
    joined = pl.when(method.is_not_null() & target.is_not_null()).then(
        pl.concat_str([method, target, first(_PROTOCOL)], separator=" ", ignore_nulls=True)
    )
    fields = [first(names).alias(role) for role, names in NAMES.items()]
    # All at once, since some roles have the same name as a column that feeds them. Not by select: with nulls alone it
    # would return one row.
    found = texts.with_columns(*fields, joined.alias("joined")).with_columns(pl.coalesce("request", "joined"))
    missing = pl.col("request").is_null() | pl.col("time").is_null()
    return found.select(*NAMES, pl.when(missing).then(pl.lit(str(Reason.MISSING))).alias("error"))


class _Malformed(Exception):
    """The line is malformed; the text is the reason."""


def _texts(line: str | None) -> list[str | None]:
    """Return the text of every role and, last, the error, which is None unless the line is malformed."""
    try:
        record = _record(line)
        *names, request_names = NAMES.values()
        texts = [_first(record, alternatives) for alternatives in names]
        request = _first(record, request_names) or _joined_request(record)
    except _Malformed as malformed:
        return [*[None] * len(NAMES), str(malformed)]
    missing = request is None or texts[0] is None
    return [*texts, request, str(Reason.MISSING) if missing else None]


def _record(line: str | None) -> dict[str, Any]:
    if not line or not line.strip("\r"):
        raise _Malformed(Reason.EMPTY)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise _Malformed(Reason.NOT_JSON) from None
    if not isinstance(record, dict):
        raise _Malformed(Reason.NOT_JSON)
    return record


def _joined_request(record: dict[str, Any]) -> str | None:
    """Return the request line, made of its parts; None if the method or the target is missing."""
    method, target = _first(record, _METHOD), _first(record, _TARGET)
    if method is None or target is None:
        return None
    query = _first(record, _QUERY)
    if query is not None and "?" not in target:
        target = f"{target}?{query}"
    return " ".join(part for part in (method, target, _first(record, _PROTOCOL)) if part)


def _first(record: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the text of the first name that is present and not empty."""
    for name in names:
        value = record.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _Malformed(Reason.WRONG_TYPE)
        # A lone surrogate, as in "\ud800", is no character and cannot be stored.
        return str(value).encode("utf-8", "replace").decode()
    return None
