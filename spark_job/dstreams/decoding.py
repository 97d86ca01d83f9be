"""From the bodies of events to tables of rows, on the executors: whole columns at once, never a line at a time.

A decoder travels to the executors, so it holds settings only. What it cannot read is malformed: such lines are counted
and kept as dead letters, with their reason, and never reach a job.
"""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from spark_job.access_log import line_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

MAX_WHOLE = 2**53
"""Beyond this, JSON numbers of other programs are no longer exact."""


@dataclass(frozen=True)
class Decoded:
    """The rows that could be read, and the lines that could not: ``place`` in what was given, ``error``, ``raw``."""

    rows: pl.DataFrame
    malformed: pl.DataFrame


class Decoder(Protocol):
    """Reads the bodies of events."""

    def decode(self, bodies: pl.Series) -> Decoded:
        """Return what is in ``bodies`` (Binary), in order; every one of them is in exactly one of the two tables."""


@dataclass(frozen=True)
class AccessLines:
    """Lines of an access log, with the given columns of :data:`spark_job.parse.SCHEMA`."""

    columns: tuple[str, ...]
    log_format: str = "combined"
    url: str = "path"
    timezone: str = "UTC"

    def decode(self, bodies: pl.Series) -> Decoded:
        """Parse the lines."""
        import polars as pl

        parser = line_parser(self.log_format, self.url, self.timezone)
        parsed = parser.parse(bodies, (*self.columns, "raw", "error"))
        bad = parsed["error"].is_not_null()
        malformed = parsed.select("error", "raw").with_row_index("place").filter(bad)
        return Decoded(
            parsed.filter(~bad).select(*self.columns), malformed.with_columns(pl.col("place").cast(pl.Int64))
        )


@dataclass(frozen=True)
class TextLines:
    """Lines of any kind, in the one column ``line``; bytes that are not UTF-8 become U+FFFD. None is malformed."""

    def decode(self, bodies: pl.Series) -> Decoded:
        """Read the bytes as text."""
        from spark_job.parse.text import decode

        return Decoded(decode(bodies.rename("line")).to_frame(), _letters([]))


@dataclass(frozen=True)
class JsonObjects:
    """One JSON object a line, with the named members; ``whole`` are numbers above zero, ``texts`` are not empty."""

    texts: tuple[str, ...]
    whole: tuple[str, ...]

    def decode(self, bodies: pl.Series) -> Decoded:
        """Take the members out of the objects; others may be there and are not looked at."""
        import polars as pl

        good: list[list[Any]] = []
        bad: list[tuple[int, str, str]] = []
        for place, body in enumerate(bodies):
            try:
                good.append(self._members(body))
            except ValueError as error:
                bad.append((place, str(error), _bounded(body)))
        schema: dict[str, pl.DataType] = {name: pl.String() for name in self.texts}
        schema |= {name: pl.Int64() for name in self.whole}
        return Decoded(pl.DataFrame(good, schema=schema, orient="row"), _letters(bad))

    def _members(self, body: bytes) -> list[Any]:
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("not a JSON object") from None
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 -- the reason of a dead letter, like the others
        values = [_text(record, name) for name in self.texts]
        return values + [_whole(record, name) for name in self.whole]


def rows_of(table: pl.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table with its columns as attributes: what a job's ``flatMap`` begins with."""
    kind = namedtuple("Row", table.columns)  # type: ignore[misc] # noqa: PYI024 -- the columns are known at run time
    return map(kind._make, table.iter_rows())


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing" if value in (None, "") else f"{name} is not a text")
    # A lone surrogate, as in "\ud800", is no character and cannot be stored.
    return value.encode("utf-8", "replace").decode()


def _whole(record: dict[str, Any], name: str) -> int:
    value = record.get(name)
    if value is None:
        raise ValueError(f"{name} is missing")
    if type(value) is not int or not 0 < value < MAX_WHOLE:
        raise ValueError(f"{name} is not a whole number above zero")
    return value


def _bounded(body: bytes) -> str:
    from spark_job.parse.schema import MAX_RAW_BYTES

    return body[:MAX_RAW_BYTES].decode("utf-8", "replace")


def _letters(bad: list[tuple[int, str, str]]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(bad, schema={"place": pl.Int64, "error": pl.String, "raw": pl.String}, orient="row")
