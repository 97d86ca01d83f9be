"""The nearest known name for one that is not known: the end of every "unknown ..." message."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CUTOFF = 0.5
"""How alike two names must be, from 0 to 1 (:mod:`difflib`): ``acces_log`` is found, ``foo`` is not forced to fit."""


def nearest(given: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """Return the known name that is most like ``given``, upper and lower case being equal, or None if none is."""
    by_lower_case = {name.lower(): name for name in known}
    found = difflib.get_close_matches(given.lower(), list(by_lower_case), n=1, cutoff=cutoff)
    return by_lower_case[found[0]] if found else None


def did_you_mean(given: str, known: Iterable[str], otherwise: str = "", cutoff: float = CUTOFF) -> str:
    """Return ``; did you mean 'x'?``, or ``; `` and ``otherwise``, or nothing: what an error message ends with."""
    name = nearest(given, known, cutoff)
    if name is not None:
        return f"; did you mean {name!r}?"
    return f"; {otherwise}" if otherwise else ""
