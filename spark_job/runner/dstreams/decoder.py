"""From the bodies of events to tables of rows, on the executors: whole columns at once, never a line at a time.

A decoder travels to the executors, so it holds settings only. What it cannot read is malformed: such lines are counted
and kept as dead letters, with their reason, and never reach a job.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from spark_job.source.access_log import line_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl


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
        import polars as pl

        from spark_job.parse.text import decode

        none = pl.DataFrame(schema={"place": pl.Int64, "error": pl.String, "raw": pl.String})
        return Decoded(decode(bodies.rename("line")).to_frame(), none)


@dataclass(frozen=True)
class JsonFields:
    """One JSON object a line; ``fields`` are names and types of :mod:`spark_job.parse.json_objects`."""

    fields: tuple[tuple[str, str], ...]

    def decode(self, bodies: pl.Series) -> Decoded:
        """Take the fields out of the objects."""
        from spark_job.parse.json_objects import parse_objects

        return _sorted_out(parse_objects(bodies, dict(self.fields)))


def rows_of(table: pl.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table with its columns as attributes: what a job's ``flatMap`` begins with."""
    kind = namedtuple("Row", table.columns)  # type: ignore[misc] # noqa: PYI024 -- the columns are known at run time
    return map(kind._make, table.iter_rows())


def _sorted_out(parsed: pl.DataFrame) -> Decoded:
    """Tell well-formed rows from malformed ones, by the columns ``raw`` and ``error``."""
    import polars as pl

    bad = parsed["error"].is_not_null()
    malformed = parsed.select("error", "raw").with_row_index("place").filter(bad)
    return Decoded(parsed.filter(~bad).drop("raw", "error"), malformed.with_columns(pl.col("place").cast(pl.Int64)))
