r"""Text of log lines, column-wise: decoding, escapes, and work done once for each distinct value.

A log repeats itself: of a million lines, thousands carry the same second, the same request or the same pair of status
and size. :class:`Distinct` numbers the distinct values of a column, so that the costly part of parsing (a regular
expression, a calendar) sees each of them once and every row picks its result up by number.

Escapes are those of Apache's log writer; nginx writes the ``\xHH`` ones only:

=============================  ==============================================
written                        meant
=============================  ==============================================
``\"`` ``\\``                  the character after the backslash
``\b \f \n \r \t \v``          the control character, as in C
``\xHH``                       one byte; several may make one UTF-8 character
``\`` before anything else     the character after it
=============================  ==============================================

Bytes written as ``\xHH`` that are not UTF-8 stay escaped, so that two URLs in an old encoding stay two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL_ENOUGH_FOR_PYTHON = 64
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def decode(bodies: pl.Series) -> pl.Series:
    """Return the bytes as text; what is not UTF-8 becomes U+FFFD, in the rows that have it and no others.

    Polars decodes a column or refuses it, without naming the row; so a refused column is halved until the rows at fault
    are few.
    """
    try:
        return bodies.cast(pl.String)
    except pl.exceptions.ComputeError:
        rows = len(bodies)
        if rows <= _SMALL_ENOUGH_FOR_PYTHON:
            texts = [None if body is None else body.decode("utf-8", "replace") for body in bodies]
            return pl.Series(bodies.name, texts, dtype=pl.String)
    middle = rows // 2
    return pl.concat([decode(bodies[:middle]), decode(bodies[middle:])])


def unescape(text: str) -> str:
    """Return ``text`` without the escapes of the log's writer."""
    return _ESCAPE.sub(_unescaped, text.encode()).decode("utf-8", "backslashreplace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    digits, character = found.groups()
    if digits is not None:
        return bytes.fromhex(digits.decode())
    return _CONTROLS.get(character, character)


def unescape_column(texts: pl.Series) -> pl.Series:
    """Return the column without escapes; rows that have no backslash are not touched."""
    escaped = texts.str.contains("\\", literal=True).fill_null(value=False)
    if not escaped.any():
        return texts
    rows = escaped.arg_true()
    plain = pl.Series([unescape(text) for text in texts.gather(rows)], dtype=pl.String)
    return texts.scatter(rows, plain)


@dataclass(frozen=True)
class Distinct:
    """The distinct values of a column of text, and for each row the number of its value.

    ``values`` holds each distinct text once, a null as the empty text. ``number`` has one entry a row.
    """

    values: pl.Series
    number: pl.Series

    @classmethod
    def of(cls, texts: pl.Series) -> Distinct:
        """Number the values of ``texts``."""
        # Own categories: those without a name are shared by the whole process and never let go of a text.
        known = texts.fill_null("") if texts.null_count() else texts
        coded = known.cast(pl.Categorical(pl.Categories.random()))
        values = coded.unique()
        codes = values.to_physical().to_numpy()
        # Codes are dense today, but Polars does not promise it.
        number_of_code = np.zeros(codes.max(initial=0) + 1, dtype=np.uint32)
        number_of_code[codes] = np.arange(len(values), dtype=np.uint32)
        return cls(values.cast(pl.String), pl.Series(number_of_code[coded.to_physical().to_numpy()]))

    def spread(self, results: pl.DataFrame) -> pl.DataFrame:
        """Return for every row its line of ``results``, which has one line for each of ``values``."""
        return results[self.number]

    def apply(self, compute: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        """Compute on the distinct values and spread the result over the rows."""
        return self.spread(compute(self.values))
