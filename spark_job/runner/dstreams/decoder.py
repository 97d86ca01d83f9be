"""Decoders: turn the bodies of events into tables of rows, on the executors, by whole columns.

Spark pickles a decoder for the executors, so it holds settings only. A body that it cannot decode is malformed: it is
counted and kept as a dead letter with its reason, and never reaches a job.
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
    """Decoded rows, and malformed bodies: ``place`` is their index in the input; also ``error`` and ``raw``."""

    rows: pl.DataFrame
    malformed: pl.DataFrame


class Decoder(Protocol):
    """Decodes the bodies of events."""

    def decode(self, bodies: pl.Series) -> Decoded:
        """Decode ``bodies`` (Binary) in order; each body ends up in exactly one of the two tables."""


@dataclass(frozen=True)
class AccessLines:
    """Decodes lines of an access log into the given columns of :data:`spark_job.parse.SCHEMA`."""

    columns: tuple[str, ...]
    log_format: str
    url: str
    timezone: str

    def decode(self, bodies: pl.Series) -> Decoded:
        """Parse the lines."""
        parser = line_parser(self.log_format, self.url, self.timezone)
        return _split_malformed(parser.parse(bodies, (*self.columns, "raw", "error")))


@dataclass(frozen=True)
class TextLines:
    """Decodes any lines into one column ``line``; bytes that are not UTF-8 become U+FFFD. No line is malformed."""

    def decode(self, bodies: pl.Series) -> Decoded:
        """Decode the bytes as text."""
        import polars as pl

        from spark_job.parse.text import decode

        none = pl.DataFrame(schema={"place": pl.Int64, "error": pl.String, "raw": pl.String})
        return Decoded(decode(bodies.rename("line")).to_frame(), none)


@dataclass(frozen=True)
class JsonFields:
    """Decodes one JSON object per line; ``fields`` are names and types of :mod:`spark_job.parse.json_objects`."""

    fields: tuple[tuple[str, str], ...]

    def decode(self, bodies: pl.Series) -> Decoded:
        """Extract the fields of the objects."""
        from spark_job.parse.json_objects import parse_objects

        return _split_malformed(parse_objects(bodies, dict(self.fields)))


def rows_of(table: pl.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table as named tuples of its columns: the function for a job's first ``flatMap``."""
    kind = namedtuple("Row", table.columns)  # type: ignore[misc] # noqa: PYI024 -- the columns are known at run time
    return map(kind._make, table.iter_rows())


def _split_malformed(parsed: pl.DataFrame) -> Decoded:
    """Split rows by the column ``error``: it is null in a well-formed one."""
    import polars as pl

    bad = parsed["error"].is_not_null()
    malformed = parsed.select("error", "raw").with_row_index("place").filter(bad)
    return Decoded(parsed.filter(~bad).drop("raw", "error"), malformed.with_columns(pl.col("place").cast(pl.Int64)))
