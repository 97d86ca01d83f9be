r"""Column-wise work on text of log lines: decoding, escapes, and computing once per distinct value.

A log repeats itself: of a million lines, thousands have the same second, the same request or the same pair of status
and size. :class:`Distinct` numbers the distinct values of a column, so that the costly part of parsing (a regular
expression, a calendar) runs once per value, and every row looks its result up by number.

The escapes are those that Apache writes; nginx writes only the ``\xHH`` ones:

=============================  ==============================================
written                        meaning
=============================  ==============================================
``\"`` ``\\``                  the character after the backslash
``\b \f \n \r \t \v``          the control character, as in C
``\xHH``                       one byte; several may make one UTF-8 character
``\`` before anything else     the character after it
=============================  ==============================================

Bytes written as ``\xHH`` that are not UTF-8 stay escaped, so that two different URLs in an old encoding stay different.
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
    """Return the bytes as text; bytes that are not UTF-8 become U+FFFD, and no other row changes.

    Polars decodes a column or refuses it, without naming the row. So this halves a refused column until only a few rows
    around the bad one are left.
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
    """Return ``text`` with the server's escapes resolved."""
    # "backslashreplace" writes a byte that is not UTF-8 as \xHH again, which keeps different URLs different.
    return _ESCAPE.sub(_unescaped, text.encode()).decode("utf-8", "backslashreplace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    digits, character = found.groups()
    if digits is not None:
        return bytes.fromhex(digits.decode())
    return _CONTROLS.get(character, character)


def unescape_column(texts: pl.Series) -> pl.Series:
    """Return the column with escapes resolved; rows without a backslash are not touched."""
    escaped = texts.str.contains("\\", literal=True).fill_null(value=False)
    if not escaped.any():
        return texts
    rows = escaped.arg_true()
    plain = pl.Series([unescape(text) for text in texts.gather(rows)], dtype=pl.String)
    return texts.scatter(rows, plain)


@dataclass(frozen=True)
class Distinct:
    """The distinct values of a column of text, and for each row the number of its value.

    Attributes:
        values: each distinct text once; a null counts as the empty text.
        number: for each row, the index of its text in ``values``.
    """

    values: pl.Series
    number: pl.Series

    @classmethod
    def of(cls, texts: pl.Series) -> Distinct:
        """Number the values of ``texts``."""
        # Separate categories: Polars shares unnamed ones in the whole process, and never frees their texts.
        known = texts.fill_null("") if texts.null_count() else texts
        coded = known.cast(pl.Categorical(pl.Categories.random()))
        values = coded.unique()
        codes = values.to_physical().to_numpy()
        # The codes are dense today, but Polars does not promise that.
        number_of_code = np.zeros(codes.max(initial=0) + 1, dtype=np.uint32)
        number_of_code[codes] = np.arange(len(values), dtype=np.uint32)
        return cls(values.cast(pl.String), pl.Series(number_of_code[coded.to_physical().to_numpy()]))

    def spread(self, results: pl.DataFrame) -> pl.DataFrame:
        """Return for every row of the column its row of ``results``, which has one row for each of ``values``."""
        return results[self.number]

    def apply(self, compute: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        """Compute on the distinct values, and give every row the result of its value."""
        return self.spread(compute(self.values))
