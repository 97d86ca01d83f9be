r"""JSON objects of one shape, read column-wise.

A server writes all its lines with the same names in the same order, so the names of one line make an expression that
reads the others::

    {"msec": 1431857103.250, "status": "200", "upstream": null}
    ^\{ "msec" : (value) , "status" : (value) , "upstream" : value \}$          blanks may stand between any two parts

A line that matches is an object with just these names, since a value here is one of:

==================  ====================================================  ==============================================
value               what matches                                          its text
==================  ====================================================  ==============================================
string              printable ASCII without quote and backslash           what is between the quotes
number              not negative; at most ten digits, and four after a    as it is, but for zeros at its end:
                    point                                                 ``0.120`` is ``0.12``, ``1.000`` is ``1.0``
``null``                                                                  null
==================  ====================================================  ==============================================

and, of a name that is not asked for, ``true`` or ``false``. All else does not match and is for the standard library:
escapes, other characters, nested values, longer numbers. At no point of the expression are there two ways to go on, for
an engine that need not look back is several times faster.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_NAMES = 64
"""An object with more names, or with names longer than this in the mean, has no shape: expressions have a price."""

_BLANKS = r"[ \t\n\r]*"
_STRING = r'"[ !#-\[\]-~]*"'
_NUMBER = r"(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,4})?"
_VALUE = rf"(?:{_STRING}|{_NUMBER}|null)"
_ANY_VALUE = rf"(?:{_STRING}|{_NUMBER}|null|true|false)"


@dataclass(frozen=True)
class JsonShape:
    """The names of an object.

    Attributes:
        names: those that are asked for, each once.
        pattern: expression of a whole line, with a group for each of ``names``, in order.
    """

    names: tuple[str, ...]
    pattern: str

    @classmethod
    def of(cls, line: str | None, asked: Collection[str]) -> JsonShape | None:
        """Return the shape of a line; None if it is none that can be read column-wise, or has none of the names."""
        try:
            pairs = json.loads(line or "", object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return None
        if not isinstance(pairs, _Pairs) or not pairs or len(pairs) > MAX_NAMES:
            return None
        if sum(len(name) for name, _ in pairs) > MAX_NAMES * MAX_NAMES:
            return None
        # Of a name that is there twice the last holds.
        places = {name: place for place, (name, _) in enumerate(pairs)}
        names, members = [], []
        for place, (name, _) in enumerate(pairs):
            wanted = name in asked and places[name] == place
            names += [name] if wanted else []
            value = f"({_VALUE})" if wanted else _ANY_VALUE
            members.append(f'"{re.escape(name)}"{_BLANKS}:{_BLANKS}{value}{_BLANKS}')
        body = f",{_BLANKS}".join(members)
        shape = cls(tuple(names), rf"^{_BLANKS}\{{{_BLANKS}{body}\}}{_BLANKS}$")
        return shape if names and re.match(shape.pattern, line or "") else None

    def read(self, lines: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
        """Return a column of text for each of the names, and the places of the lines that match.

        The columns have those lines only.
        """
        found = lines.rename("line").to_frame().select(pl.col("line").str.extract_groups(f"({self.pattern})"))
        groups = found.to_series().struct.unnest()
        matched = groups.to_series(0).is_not_null()
        if not matched.all():
            groups = groups.filter(matched)
        columns = groups.get_columns()[1:]
        texts = {name: _texts(values) for name, values in zip(self.names, columns, strict=True)}
        return pl.DataFrame(texts), matched.arg_true()


class _Pairs(list[tuple[str, object]]):
    """The members of an object in order, told apart from an array."""


def _texts(values: pl.Series) -> pl.Series:
    """Return the texts of values as they are written. Nearly every column has either strings only or no string."""
    quoted = values.str.starts_with('"')
    if quoted.all():
        return values.str.strip_chars('"')
    value = pl.col("value")
    return (
        values.rename("value")
        .to_frame()
        .select(
            pl.when(value.str.starts_with('"'))
            .then(value.str.strip_chars('"'))
            .when(value.str.contains(".", literal=True))
            .then(value.str.strip_chars_end("0").str.replace(r"\.$", ".0"))
            .when(value != "null")
            .then(value)
        )
        .to_series()
    )
