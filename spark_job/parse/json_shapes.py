r"""Reads JSON objects of one shape column-wise.

A server writes all its lines with the same names in the same order. So the names of one line make a regular expression
that reads the other lines::

    {"msec": 1431857103.250, "status": "200", "upstream": null}
    ^\{ "msec" : (value) , "status" : (value) , "upstream" : value \}$          blanks may stand between any two parts

A line that matches is an object with exactly these names, since a value in the expression is one of:

==================  ====================================================  ==============================================
value               what matches                                          its text
==================  ====================================================  ==============================================
string              printable ASCII without quote and backslash           what is between the quotes
number              not negative; at most ten digits, and four after a    unchanged except for zeros at its end:
                    point                                                 ``0.120`` is ``0.12``, ``1.000`` is ``1.0``
``null``                                                                  null
==================  ====================================================  ==============================================

or, for a name that is not wanted, ``true`` or ``false``. Other lines do not match, and the standard library reads them:
those with escapes, other characters, nested values or longer numbers. Nowhere can the expression continue in two ways:
without backtracking the engine is several times faster.
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
"""An object with more names, or with names that are longer on average, has no shape: its expression would be costly."""

_BLANKS = r"[ \t\n\r]*"
_STRING = r'"[ !#-\[\]-~]*"'
_NUMBER = r"(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,4})?"
_VALUE = rf"(?:{_STRING}|{_NUMBER}|null)"
_ANY_VALUE = rf"(?:{_STRING}|{_NUMBER}|null|true|false)"


@dataclass(frozen=True)
class JsonShape:
    """The names of an object, in order, as a regular expression.

    Attributes:
        names: the wanted names, each once.
        pattern: expression of a whole line, with a group for each of ``names``, in order.
    """

    names: tuple[str, ...]
    pattern: str

    @classmethod
    def of(cls, line: str | None, asked: Collection[str]) -> JsonShape | None:
        """Return the shape of a line; None if it cannot be read column-wise, or has none of the wanted names."""
        try:
            pairs = json.loads(line or "", object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return None
        if not isinstance(pairs, _Pairs) or not pairs or len(pairs) > MAX_NAMES:
            return None
        if sum(len(name) for name, _ in pairs) > MAX_NAMES * MAX_NAMES:
            return None
        # If a name occurs twice, the last one counts.
        places = {name: place for place, (name, _) in enumerate(pairs)}
        names, members = [], []
        for place, (name, _) in enumerate(pairs):
            wanted = name in asked and places[name] == place
            names += [name] if wanted else []
            value = f"({_VALUE})" if wanted else _ANY_VALUE
            members.append(f'"{re.escape(name)}"{_BLANKS}:{_BLANKS}{value}{_BLANKS}')
        body = f",{_BLANKS}".join(members)
        shape = cls(tuple(names), rf"^{_BLANKS}\{{{_BLANKS}{body}\}}{_BLANKS}$")
        # The line itself may hold a value that the expression leaves out, such as a nested one: then it gives no shape.
        return shape if names and re.match(shape.pattern, line or "") else None

    def read(self, lines: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
        """Return a column of text for each name, with the matching lines only, and the row numbers of these lines."""
        found = lines.rename("line").to_frame().select(pl.col("line").str.extract_groups(f"({self.pattern})"))
        groups = found.to_series().struct.unnest()
        matched = groups.to_series(0).is_not_null()
        if not matched.all():
            groups = groups.filter(matched)
        columns = groups.get_columns()[1:]
        texts = {name: _texts(values) for name, values in zip(self.names, columns, strict=True)}
        return pl.DataFrame(texts), matched.arg_true()


class _Pairs(list[tuple[str, object]]):
    """The members of an object in order; a separate class, since an array is a list too."""


def _texts(values: pl.Series) -> pl.Series:
    """Return the texts of the values of one name."""
    # The usual case first: nearly every column has strings only, or no string.
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
