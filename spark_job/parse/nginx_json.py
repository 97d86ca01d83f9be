"""JSON lines as nginx writes them (``log_format ... escape=json``), one object a line.

========================================================  =============================================================
names (the first that is there and not empty is used)      feeds
========================================================  =============================================================
``msec``, ``time_iso8601``, ``time_local``, ``time``       time: seconds since 1970, ISO 8601, or as Apache writes it
``remote_addr``, ``host``... see :data:`NAMES`             the column on the right
``request``                                                the request line; or ``request_method`` with ``request_uri``
                                                           (or ``uri`` and ``args``) and ``server_protocol``
========================================================  =============================================================

nginx's own variable names are known, and the short ones that people give them. Values are strings or numbers; other
names may hold anything and are not looked at. Of a name that is there twice the last holds.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from spark_job.parse.extract import Extraction
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
"""The names that feed each column, the preferred first."""

_METHOD = ("request_method", "method")
_TARGET = ("request_uri", "uri")
_PROTOCOL = ("server_protocol", "protocol")
_QUERY = ("args", "query_string")
_NUMBERS = {
    "status": r"^[0-9]{3}$",
    "bytes": r"^(?:[0-9]{1,18}|-)$",
    "duration": r"^(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|-)$",
}

TIME_PATTERNS = (TimePattern(EPOCH_SECONDS), TimePattern(ISO_8601), TimePattern(APACHE))


class JsonExtractor:
    """Takes the fields out of JSON lines.

    Each line is read on its own by the standard library: Polars decodes a column of JSON by joining its rows, and then
    a line that holds two values, or half of one, moves or spoils its neighbours.
    """

    def extract(self, lines: pl.Series, roles: set[str]) -> Extraction:
        """Return the texts of the fields whose roles are given; names that a line lacks give null."""
        records = [_texts(line) for line in lines]
        # All fields are looked at, asked for or not: what is malformed must not depend on the question.
        schema = dict.fromkeys((*NAMES, "error"), pl.String())
        texts = pl.DataFrame(records, schema=schema, orient="row")
        ill_typed = [~pl.col(role).str.contains(pattern) for role, pattern in _NUMBERS.items()]
        errors = texts.select(
            pl.when(pl.col("error").is_null() & pl.any_horizontal(*ill_typed).fill_null(value=False))
            .then(pl.lit(str(Reason.WRONG_TYPE)))
            .otherwise("error")
            .alias("error")
        ).to_series()
        return Extraction(texts.select(sorted(roles)), errors if errors.null_count() < len(errors) else None)


class _Malformed(Exception):
    """The line is not what the format says; the text is the reason."""


def _texts(line: str | None) -> list[str | None]:
    """Return the text of every role and, last, why there is none."""
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
    """Return the request line of a record that has its parts; None if method or target is missing."""
    method, target = _first(record, _METHOD), _first(record, _TARGET)
    if method is None or target is None:
        return None
    query = _first(record, _QUERY)
    if query is not None and "?" not in target:
        target = f"{target}?{query}"
    return " ".join(part for part in (method, target, _first(record, _PROTOCOL)) if part)


def _first(record: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the text of the first name that is there and not empty."""
    for name in names:
        value = record.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _Malformed(Reason.WRONG_TYPE)
        # A lone surrogate, as in "\ud800", is no character and cannot be stored.
        return str(value).encode("utf-8", "replace").decode()
    return None
