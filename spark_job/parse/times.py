"""Reads the times of log lines: patterns with named parts, and the arithmetic from the parts to microseconds.

A :class:`TimePattern` is a regular expression whose groups are parts of a time:

===============  =============================================================================================
group            meaning
===============  =============================================================================================
year             four digits; 1900 to 2999, so that no offset leaves the range of Python's ``datetime``
month            two digits, or the English name (in full, or its first three letters, in any case)
day              one or two digits; at most the number of days of that month in that year
day_of_year      three digits, instead of month and day
hour             0 to 23
minute           0 to 59
second           0 to 60; a leap second counts as the first second of the next minute, as the system clock repeats it
fraction         digits after the decimal point of the second; digits beyond microseconds are cut off
offset           ``+hhmm``, ``+hh:mm`` or ``Z``; without it the reader's time zone applies
epoch            seconds since 1970 (``epoch_ms``, ``epoch_us``: milli-, microseconds), instead of all but fraction
===============  =============================================================================================

When clocks go back, a local time that occurs twice means the first of the two. When clocks go forward, a local time
that is skipped does not exist.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from headrace.common.suggest import did_you_mean
from spark_job.errors import OptionError
from spark_job.parse.schema import TIME_TYPE

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY = 2
_FIRST_YEAR, _LAST_YEAR = 1900, 2999
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US
_EARLIEST_US = int(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp()) * _SECOND_US
_LATEST_US = int(datetime(_LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()) * _SECOND_US
_FIXED_OFFSET = re.compile(r"(?:UTC|GMT)?[+-][0-9]{1,2}(?::?[0-9]{2})?")
_PARTS = {
    *("year", "month", "day", "day_of_year", "hour", "minute", "second", "fraction", "offset"),
    *("epoch", "epoch_ms", "epoch_us"),
}

OFFSET = r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})"
CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
APACHE = rf"(?P<day>[0-9]{{2}})/(?P<month>[A-Za-z]{{3}})/(?P<year>[0-9]{{4}}):{CLOCK} {OFFSET}"
ISO_8601 = rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})T{CLOCK}{OFFSET}"
EPOCH_SECONDS = r"(?P<epoch>[0-9]{1,12})(?:\.(?P<fraction>[0-9]+))?"


@dataclass(frozen=True)
class TimePattern:
    """One notation of a time: a regular expression of the whole text, with the groups of the table at the head."""

    pattern: str

    @property
    def parts(self) -> list[str]:
        """The names of the groups, in the order of the pattern."""
        return re.findall(r"\(\?P<([a-z_]+)>", self.pattern)

    def problem(self) -> str | None:
        """Return why this pattern does not determine a time, or None if it does."""
        parts = self.parts
        twice = sorted({part for part in parts if parts.count(part) > 1})
        if twice:
            return f"it has the {twice[0]} twice"
        if {"epoch", "epoch_ms", "epoch_us"} & set(parts):
            return None
        needed = ["year", "hour", "minute"]
        needed += [] if "day_of_year" in parts else ["month", "day"]
        missing = [part for part in needed if part not in parts]
        return f"the {missing[0]} is missing" if missing else None

    def read(self, texts: pl.Series, timezone: str) -> pl.Series:
        """Return the times of ``texts`` (UTC, microseconds); null if a text is no time. Costly: use distinct texts."""
        found = (
            texts.rename("text")
            .to_frame()
            .select(pl.col("text").str.extract_groups(f"(?s)^{self.pattern}$").struct.unnest())
        )
        absent = [pl.lit(None, dtype=pl.String).alias(part) for part in _PARTS.difference(self.parts)]
        parts = found.with_columns(absent).select(_numbers()).with_columns(_lengths())
        if "year" not in self.parts:
            return parts.select(_in_range(_since_epoch()).cast(TIME_TYPE).alias("time"))["time"]
        local = pl.when(_valid()).then(_local_us())
        if "offset" in self.parts:
            return parts.select((local - pl.col("offset_us")).cast(TIME_TYPE).alias("time"))["time"]
        return parts.select(
            local.cast(pl.Datetime("us"))
            .dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
            .dt.convert_time_zone("UTC")
            .alias("time")
        )["time"]


def check_timezone(name: str) -> str:
    """Return ``name`` if it is the name of a time zone.

    Raises:
        OptionError: the IANA database has no such zone; the text names the nearest one.
    """
    try:
        pl.select(pl.lit(datetime(2000, 1, 1)).dt.replace_time_zone(name))  # noqa: DTZ001 -- this tries the zone
    except pl.exceptions.ComputeError:
        pass
    else:
        return name
    if _FIXED_OFFSET.fullmatch(name):
        raise OptionError(
            f"timezone: {name!r} is an offset; give the name of a zone, such as Asia/Kolkata, or Etc/GMT-5 for a fixed "
            "UTC+5"
        )
    zones = sorted(zoneinfo.available_timezones())
    hint = did_you_mean(name, zones, otherwise="use a name of the IANA database, such as Europe/Paris")
    raise OptionError(f"timezone: no zone {name!r}{hint}")


def _numbers() -> list[pl.Expr]:
    """Return the parts as numbers; null if a part is absent or no number."""
    names = pl.col("month").str.to_lowercase().str.slice(0, 3)
    by_name = names.replace_strict(list(MONTHS), list(range(1, 13)), default=None, return_dtype=pl.Int64)
    plain = ("year", "day_of_year", "hour", "minute", "epoch", "epoch_ms", "epoch_us")
    return [
        *(pl.col(part).cast(pl.Int64, strict=False) for part in plain),
        pl.coalesce(by_name, pl.col("month").cast(pl.Int64, strict=False)).alias("month"),
        pl.col("day").str.strip_chars(" ").cast(pl.Int64, strict=False),
        pl.col("second").cast(pl.Int64, strict=False).fill_null(0),
        pl.col("fraction").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64, strict=False).fill_null(0),
        _offset_us().alias("offset_us"),
    ]


def _offset_us() -> pl.Expr:
    """The offset from UTC; null if its hours or minutes are out of range."""
    digits = pl.col("offset").str.replace("Z", "+0000", literal=True).str.replace(":", "", literal=True)
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False)
    sign = pl.when(digits.str.starts_with("-")).then(-1).otherwise(1)
    size = hours * _HOUR_US + minutes * _MINUTE_US
    return pl.when(hours.is_between(0, 23) & minutes.is_between(0, 59)).then(sign * size)


def _lengths() -> list[pl.Expr]:
    """Return leap day of the year, days of the month and days before it; null if the month does not exist."""
    year, month = pl.col("year"), pl.col("month")
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    months = list(range(1, 13))
    return [
        leap.cast(pl.Int64).alias("leap_day"),
        month.replace_strict(months, list(_DAYS_OF_MONTH), default=None, return_dtype=pl.Int64).alias("days_of_month"),
        month.replace_strict(months, list(_DAYS_BEFORE_MONTH), default=None, return_dtype=pl.Int64).alias(
            "days_before"
        ),
    ]


def _valid() -> pl.Expr:
    leap_day = pl.col("leap_day")
    days = pl.col("days_of_month") + pl.when(pl.col("month") == _FEBRUARY).then(leap_day).otherwise(0)
    by_date = pl.col("day").is_between(1, days)
    by_day_of_year = pl.col("day_of_year").is_between(1, 365 + leap_day)
    return (
        pl.col("year").is_between(_FIRST_YEAR, _LAST_YEAR)
        & pl.coalesce(by_day_of_year, by_date)
        & pl.col("hour").is_between(0, 23)
        & pl.col("minute").is_between(0, 59)
        & pl.col("second").is_between(0, 60)
    )


def _local_us() -> pl.Expr:
    before = pl.col("year") - 1
    leap_day = pl.when(pl.col("month") > _FEBRUARY).then(pl.col("leap_day")).otherwise(0)
    day_of_year = pl.coalesce(pl.col("day_of_year"), pl.col("days_before") + leap_day + pl.col("day"))
    days_since_year_1 = before * 365 + before // 4 - before // 100 + before // 400 + day_of_year
    days = days_since_year_1 - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
    return (
        days * _DAY_US
        + pl.col("hour") * _HOUR_US
        + pl.col("minute") * _MINUTE_US
        + pl.col("second") * _SECOND_US
        + pl.col("fraction")
    )


def _since_epoch() -> pl.Expr:
    return pl.coalesce(
        pl.col("epoch") * _SECOND_US + pl.col("fraction"),
        pl.col("epoch_ms") * (_SECOND_US // 1000),
        pl.col("epoch_us"),
    )


def _in_range(since_epoch_us: pl.Expr) -> pl.Expr:
    return pl.when(since_epoch_us.is_between(_EARLIEST_US, _LATEST_US - 1)).then(since_epoch_us)
