"""Extracts the texts of the fields from lines, column-wise.

Two ways lead to the same result. The *plain* way takes nearly all lines of a real log: it cuts lines without a
backslash at their quotes. Between two quotes is one field, or fields and blanks::

    83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 203023 "http://a/" "Mozilla/5.0"
    |------------------- 0 ----------------------| |----- 1 -----| |-- 2 ---| |-- 3 --| 4 |--- 5 ----| 6

A piece that is one field needs no more work. A piece with several fields goes through a regular expression, which reads
a few bytes instead of the whole line; if all its fields are numbers, it reads each distinct text once.

The *whole* way applies the format's regular expression to the whole line. It defines what a line of the format is, and
takes the lines that the plain way leaves: escapes, blanks and quotes in odd places, and everything malformed.

If the plain way succeeds, both ways agree. Every quote of the format is a quote of the line, so the pieces are the
same. And a plain field does not contain the character that ends it, so it is the shortest possible field, which is also
the one that the whole expression finds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from spark_job.parse.directives import ANYTHING, QUOTABLE, WORD, Field
from spark_job.parse.schema import Reason
from spark_job.parse.text import Distinct, unescape_column

if TYPE_CHECKING:
    from spark_job.parse.formats import LineFormat

_PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]
_OPEN_QUOTE = r'(?s)^(?:(?:[^"\\]|\\.)*"(?:[^"\\]|\\.)*")*(?:[^"\\]|\\.)*"(?:[^"\\]|\\.)*\\?$'


@dataclass(frozen=True)
class Extraction:
    """The texts of the fields of some lines.

    Attributes:
        texts: one column of text for each role. The row of a line that does not match is undefined.
        errors: for each line, null or why it does not match; None if all lines match.
    """

    texts: pl.DataFrame
    errors: pl.Series | None


class LineExtractor:
    """Extracts the fields from lines of one format. It can be pickled."""

    def __init__(self, line_format: LineFormat) -> None:
        self._format = line_format
        self._pieces = _cut_at_quotes(line_format.elements)

    def extract(self, lines: pl.Series, roles: set[str]) -> Extraction:
        """Return the texts of the fields with the given roles; at least one role."""
        if len(self._pieces) == 1:
            return self._whole(lines, roles)
        texts, matched = self._plain(lines, roles)
        if matched.all():
            return Extraction(texts, None)
        # Only these lines pay for the expression of the whole line, and it alone decides about them.
        rows = (~matched).arg_true()
        others = self._whole(lines.gather(rows), roles)
        columns = [texts[role].scatter(rows, others.texts[role]) for role in texts.columns]
        errors = None
        if others.errors is not None:
            errors = pl.Series([None], dtype=pl.String).new_from_index(0, len(lines)).scatter(rows, others.errors)
        return Extraction(pl.DataFrame(columns), errors)

    def _whole(self, lines: pl.Series, roles: set[str]) -> Extraction:
        frame = lines.rename("line").to_frame().select(pl.col("line").str.strip_chars_end("\r"))
        texts = frame.select(pl.col("line").str.extract_groups(self._format.pattern(roles)).struct.unnest())
        unmatched = texts.to_series().is_null()
        escaped = [role for role in texts.columns if self._format.fields[role].escaped]
        texts = texts.with_columns(unescape_column(texts[role]) for role in escaped)
        if not unmatched.any():
            return Extraction(texts, None)
        line = pl.col("line")
        reason = (
            pl.when(line.is_null() | (line == ""))
            .then(pl.lit(str(Reason.EMPTY)))
            .when(line.str.contains(_OPEN_QUOTE))
            .then(pl.lit(str(Reason.OPEN_QUOTE)))
            .otherwise(pl.lit(str(Reason.NO_MATCH)))
        )
        return Extraction(texts, frame.select(pl.when(unmatched).then(reason).alias("error")).to_series())

    def _plain(self, lines: pl.Series, roles: set[str]) -> tuple[pl.DataFrame, pl.Series]:
        """Return the texts, and for which lines they are valid."""
        count = len(self._pieces)
        parts = lines.str.split('"')
        checks = [~lines.str.contains("\\", literal=True)]
        found: dict[str, pl.Series] = {}
        lengths = parts.list.len()
        checks.append(lengths >= count if self._format.may_go_on else lengths == count)
        for place, piece in enumerate(self._pieces):
            kept = roles & {element.role for element in piece if isinstance(element, Field)}
            if _is_one_text(piece):
                if kept:
                    found[kept.pop()] = parts.list.get(place, null_on_oob=True)
                continue
            part = parts.list.get(place, null_on_oob=True)
            if place == count - 1 and self._format.may_go_on:
                checks.append((part == "") & (lengths == count) | part.str.starts_with(" "))
            elif all(isinstance(element, str) for element in piece):
                checks.append(part == "".join(map(str, piece)))
            else:
                texts = _piece_texts(part, piece, kept)
                checks.append(texts.pop("matched"))
                found.update(texts)
        matched = pl.select(
            pl.all_horizontal(*(check.rename("") for check in checks)).fill_null(value=False)
        ).to_series()
        return pl.DataFrame(found), matched


def _cut_at_quotes(elements: tuple[str | Field, ...]) -> list[tuple[str | Field, ...]]:
    """Return the elements between the quotes of a format, piece by piece."""
    pieces: list[list[str | Field]] = [[]]
    for element in elements:
        if isinstance(element, Field):
            pieces[-1].append(element)
            continue
        for number, literal in enumerate(element.split('"')):
            if number:
                pieces.append([])
            if literal:
                pieces[-1].append(literal)
    return [tuple(piece) for piece in pieces]


def _is_one_text(piece: tuple[str | Field, ...]) -> bool:
    return len(piece) == 1 and isinstance(piece[0], Field) and piece[0].pattern == QUOTABLE


def _piece_texts(part: pl.Series, piece: tuple[str | Field, ...], kept: set[str]) -> dict[str, pl.Series]:
    """Return the kept texts of one piece, and under ``matched`` in which lines the piece has the format's form."""
    pattern = f"^{_plain_pattern(piece, kept)}$"
    if all(element.numeric for element in piece if isinstance(element, Field)):
        return Distinct.of(part).apply(lambda values: _match(values, pattern, kept)).to_dict()
    return _match(part, pattern, kept).to_dict()


def _match(texts: pl.Series, pattern: str, kept: set[str]) -> pl.DataFrame:
    if not kept:
        return pl.DataFrame({"matched": texts.str.contains(pattern)})
    groups = texts.rename("text").to_frame().select(pl.col("text").str.extract_groups(pattern).struct.unnest())
    return groups.with_columns(pl.first().is_not_null().alias("matched"))


def _plain_pattern(piece: tuple[str | Field, ...], roles: set[str]) -> str:
    """Return an expression that is narrower than the format's and needs no backtracking.

    A field that excludes the first character of the literal after it can only end there, so the engine reads each
    character once. Allowing printable ASCII only keeps the engine's tables small.
    """
    pieces = []
    for place, element in enumerate(piece):
        if isinstance(element, str):
            pieces.append(re.escape(element))
            continue
        pattern = element.pattern if element.numeric else element.plain
        if not pattern:
            after = piece[place + 1] if place + 1 < len(piece) else ""
            excluded = {'"', "\\", str(after)[:1], " " if element.pattern == WORD else ""}
            allowed = "".join(re.escape(character) for character in _PRINTABLE if character not in excluded)
            pattern = f"[{allowed}]{'*' if element.pattern in (ANYTHING, QUOTABLE) else '+'}"
        pieces.append(f"(?P<{element.role}>{pattern})" if element.role in roles else f"(?:{pattern})")
    return "".join(pieces)
