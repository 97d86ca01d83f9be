"""Lengths of time as people write them: ``5m``, ``1 minute``, ``90s``, ``1h30m``, ``1 hour 30 minutes``.

::

    duration := part+            the parts are added
    part     := number unit      a space between them is allowed
    number   := digits[.digits]
    unit     := ms | s | m | h | d | w, or the word, in singular or plural

The finest length is a millisecond, because Spark keeps its watermark in milliseconds: a finer window could never be
closed at its exact end. Months and years are refused, since they have no fixed length.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)
LONGEST = timedelta(days=36_500)

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_WORDS = {
    "millisecond": "ms",
    "sec": "s",
    "second": "s",
    "min": "m",
    "minute": "m",
    "hr": "h",
    "hour": "h",
    "day": "d",
    "week": "w",
}
_PART = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]+)\s*", re.ASCII)
_EXAMPLES = "write it like 90s, 5m, 1h30m or '1 minute'"


def parse_duration(text: str) -> timedelta:
    """Read a length of time, zero included.

    Raises:
        ValueError: it is none, is longer than a century or finer than a millisecond; says what would be right.
    """
    lowered = text.strip().lower()
    total, position = Decimal(0), 0
    while match := _PART.match(lowered, position):
        number, unit = match.groups()
        name = _WORDS.get(unit, _WORDS.get(unit.removesuffix("s"), unit))
        if name not in _MILLISECONDS:
            raise ValueError(f"unknown unit of time {unit!r}; {_EXAMPLES}")
        total += Decimal(number) * _MILLISECONDS[name]
        position = match.end()
    if position == 0 or position != len(lowered):
        raise ValueError(f"not a length of time; {_EXAMPLES}")
    if total != total.to_integral_value():
        raise ValueError(f"finer than a millisecond; {_EXAMPLES}")
    if total > LONGEST // MILLISECOND:
        raise ValueError(f"longer than a century; {_EXAMPLES}")
    return timedelta(milliseconds=int(total))


def parse_length(text: str) -> timedelta:
    """Read a length of time above zero.

    Raises:
        ValueError: as :func:`parse_duration`, or it is zero.
    """
    length = parse_duration(text)
    if not length:
        raise ValueError(f"must be longer than 0; {_EXAMPLES}")
    return length


def format_duration(length: timedelta) -> str:
    """Return the shortest text that :func:`parse_duration` reads back as ``length``: ``1h30m``, ``500ms``, ``0s``.

    The length is a whole number of milliseconds and not negative.
    """
    rest = length // MILLISECOND
    parts: list[str] = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _MILLISECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def spark_interval(length: timedelta) -> str:
    """Return ``length`` in the words of Spark's interval strings, which know no compact form such as ``1h30m``."""
    return f"{length // MILLISECOND} milliseconds"
