"""Parses events that are JSON objects: the wanted fields with their types, or the reason why the event is malformed.

=============  ========================================================================================================
type           accepted value
=============  ========================================================================================================
``string``     a string without lone surrogates
``long``       a whole number of 64 bits
``double``     a finite number
``boolean``    true or false
``timestamp``  ISO 8601 text (in UTC if it names no zone), or seconds since 1970 as a number, with microseconds
=============  ========================================================================================================

Every field must be present and not null; other names may have any value. If a name occurs twice, the last one counts.
Nothing is converted: ``"5"`` is no number, because converting would hide that a producer changed its types. The
standard library reads each event alone, for the reason that :mod:`spark_job.parse.nginx_json` gives.
"""

from __future__ import annotations

import itertools
import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

import polars as pl

from headrace.common.text import EPOCH
from spark_job.parse.schema import MAX_RAW_BYTES, TIME_TYPE, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# A day less than Python's range at both ends, so that no change of the zone leaves it.
FIRST_INSTANT: Final = datetime(1, 1, 2, tzinfo=UTC)
LAST_INSTANT: Final = datetime(9999, 12, 30, tzinfo=UTC)
LONG_LIMIT: Final = 1 << 63


class _Malformed(Exception):
    """The event is malformed; the text is the reason."""


def parse_objects(
    bodies: Iterable[bytes | None], fields: Mapping[str, str], cut_length: Iterable[int | None] | None = None
) -> pl.DataFrame:
    """Return a row for each body, in order: the fields, then ``raw`` and ``error``, which are null unless malformed.

    Args:
        bodies: the events.
        fields: name to type, one of the table at the module's head.
        cut_length: for each body None, or how long the event is if the body is only its beginning. Such an event is not
            parsed: it is malformed. None if there is no such event.
    """
    readers = [(name, READERS[kind]) for name, kind in fields.items()]
    nothing = [None] * len(readers)
    rows: list[list[Any]] = []
    lengths: Iterable[int | None] = itertools.repeat(None) if cut_length is None else cut_length
    # Not strict: the lengths may go on for ever.
    for body, length in zip(bodies, lengths, strict=False):
        try:
            record = _record(body, is_cut=length is not None)
            rows.append([*(_field(record, name, read) for name, read in readers), None, None])
        except _Malformed as malformed:
            rows.append([*nothing, _raw(body), str(malformed)])
    types = {name: TYPES[kind] for name, kind in fields.items()}
    return pl.DataFrame(rows, schema=types | {"raw": pl.String(), "error": pl.String()}, orient="row")


def _record(body: bytes | None, *, is_cut: bool) -> dict[str, Any]:
    if is_cut:
        raise _Malformed(Reason.TOO_LONG)
    if not body or not body.strip():
        raise _Malformed(Reason.EMPTY)
    try:
        record = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _Malformed(Reason.NOT_JSON) from None
    if not isinstance(record, dict):
        raise _Malformed(Reason.NOT_JSON)
    return record


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _raw(body: bytes | None) -> str:
    return (body or b"")[:MAX_RAW_BYTES].decode("utf-8", "replace")


def _field(record: dict[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
    value = record.get(name)
    if value is None:
        raise _Malformed(f"{Reason.MISSING}: {name}")
    try:
        return read(value)
    except (ValueError, OverflowError):
        raise _Malformed(f"{Reason.WRONG_TYPE}: {name}") from None


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 -- a wrong value of an event, not of a caller
    # A lone surrogate, as in "\ud800", is no character: this raises a ValueError, since UTF-8 cannot store it.
    value.encode()
    return value


def _long(value: Any) -> int:
    # Not isinstance: in Python true and false are integers too.
    if type(value) is not int or not -LONG_LIMIT <= value < LONG_LIMIT:
        raise ValueError
    return value


def _double(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(number := float(value)):
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 -- a wrong value of an event, not of a caller
    return value


def _timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        instant = datetime.fromisoformat(value)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    else:
        instant = EPOCH + timedelta(seconds=_double(value))
    if not FIRST_INSTANT < instant < LAST_INSTANT:
        raise ValueError
    return instant


READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "string": _string,
    "long": _long,
    "double": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
TYPES: Final[dict[str, pl.DataType]] = {
    "string": pl.String(),
    "long": pl.Int64(),
    "double": pl.Float64(),
    "boolean": pl.Boolean(),
    "timestamp": TIME_TYPE,
}
