"""The columns of a parsed access log, and the reasons why a line is malformed.

Every line becomes one row, in the same order. A row is one of two kinds:

=========  =====================================  =========================
kind       the columns of the request             ``raw`` and ``error``
=========  =====================================  =========================
parsed     set, or null if the log says ``-``     null
malformed  all null                               the line and the reason
=========  =====================================  =========================
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RAW_BYTES = 64 * 1024
"""The most bytes of a dead letter's line that are kept."""

TIME_TYPE = pl.Datetime("us", "UTC")

SCHEMA: dict[str, pl.DataType] = {
    "time": TIME_TYPE,
    "host": pl.String(),
    "user": pl.String(),
    "method": pl.String(),
    "url": pl.String(),
    "path": pl.String(),
    "protocol": pl.String(),
    "status": pl.Int32(),
    "bytes": pl.Int64(),
    "referrer": pl.String(),
    "agent": pl.String(),
    "duration": pl.Float64(),
    "raw": pl.String(),
    "error": pl.String(),
}
"""Name and type of every column, in order.

``time`` is when the server logged the request (microseconds, UTC). ``url`` is the key that the URL rule makes of the
request target, and ``path`` the same target under the rule ``path``. ``bytes`` is the size of the answer (0 if the log
says ``-``), and ``duration`` is in seconds. ``raw`` is the line without carriage returns at its end, cut to
:data:`MAX_RAW_BYTES`.
"""


class Reason(StrEnum):
    """Why a line is malformed. The texts never change: operators count dead letters by them."""

    EMPTY = "empty line"
    OPEN_QUOTE = "a quote is not closed"
    NO_MATCH = "does not match the format"
    NO_SUCH_TIME = "no such time"
    NOT_HTTP = "request is not HTTP"
    NOT_JSON = "not a JSON object"
    MISSING = "a field is missing"
    WRONG_TYPE = "a field has the wrong type"
    TOO_LONG = "line too long"


def wanted_columns(columns: Iterable[str] | None) -> list[str]:
    """Return the wanted columns in the order of :data:`SCHEMA`; all columns for None.

    Raises:
        ValueError: the schema has no column of this name.
    """
    if columns is None:
        return list(SCHEMA)
    wanted = set(columns)
    if unknown := wanted - SCHEMA.keys():
        raise ValueError(f"no such column of a parsed log: {', '.join(sorted(unknown))}; known are {', '.join(SCHEMA)}")
    return [name for name in SCHEMA if name in wanted]
