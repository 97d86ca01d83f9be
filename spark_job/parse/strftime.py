"""Makes a time pattern of the ``%{...}t`` of a LogFormat.

It knows ``sec``, ``msec``, ``usec``, ``msec_frac``, ``usec_frac`` and the directives of strftime in ``_DIRECTIVES``,
after an optional ``begin:`` or ``end:``. It reads names of days and months in English, and refuses directives that do
not determine a time alone (``%y``, ``%I``, names of zones).
"""

from __future__ import annotations

import re

from spark_job.errors import OptionError
from spark_job.parse.times import APACHE, CLOCK, OFFSET

_WORDS = {
    "": rf"\[{APACHE}\]",
    "sec": r"(?P<epoch>[0-9]{1,12})",
    "msec": r"(?P<epoch_ms>[0-9]{1,15})",
    "usec": r"(?P<epoch_us>[0-9]{1,18})",
    "msec_frac": r"(?P<fraction>[0-9]{3})",
    "usec_frac": r"(?P<fraction>[0-9]{6})",
}
_YEAR, _MONTH, _DAY = r"(?P<year>[0-9]{4})", r"(?P<month>[0-9]{2})", r"(?P<day>[0-9]{2})"
_HOUR, _MINUTE = r"(?P<hour>[0-9]{2})", r"(?P<minute>[0-9]{2})"
_MONTH_NAME = r"(?P<month>[A-Za-z]{3})"
_DIRECTIVES = {
    "a": r"[A-Za-z]{3}",
    "A": r"[A-Za-z]+",
    "b": _MONTH_NAME,
    "h": _MONTH_NAME,
    "B": r"(?P<month>[A-Za-z]+)",
    "d": _DAY,
    "e": r"(?P<day>[ 0-9][0-9])",
    "F": f"{_YEAR}-{_MONTH}-{_DAY}",
    "H": _HOUR,
    "j": r"(?P<day_of_year>[0-9]{3})",
    "m": _MONTH,
    "M": _MINUTE,
    "n": "\n",
    "R": f"{_HOUR}:{_MINUTE}",
    "s": _WORDS["sec"],
    "S": r"(?P<second>[0-9]{2})",
    "t": "\t",
    "T": CLOCK,
    "Y": _YEAR,
    "z": OFFSET,
    "%": "%",
}
_REFUSED = {
    "y": "a year of two digits does not say its century; write %Y",
    "D": "a year of two digits does not say its century; write %m/%d/%Y",
    "I": "an hour from 1 to 12 is written with %p, which depends on the language; write %H",
    "p": "it depends on the language; write %H for the hour",
    "Z": "names of zones are ambiguous; write %z",
    "c": "it depends on the language; write %F %T",
    "x": "it depends on the language; write %F",
    "X": "it depends on the language; write %T",
}
_PIECE = re.compile(r"%(.)|([^%]+)|%$", re.DOTALL)


def time_pattern(argument: str) -> str:
    """Return the pattern of ``%{argument}t``, or of ``%t`` if ``argument`` is empty.

    The names of the groups are those of :mod:`.times`.

    Raises:
        OptionError: a directive is unknown, or does not determine a time.
    """
    text = argument.removeprefix("begin:").removeprefix("end:")
    if text in _WORDS:
        return _WORDS[text]
    pattern = []
    for piece in _PIECE.finditer(text):
        directive, literal = piece.groups()
        if literal is not None:
            pattern.append(re.escape(literal))
        elif directive in _DIRECTIVES:
            pattern.append(_DIRECTIVES[directive])
        else:
            why = _REFUSED.get(directive, "it is not known here")
            raise OptionError(f"logFormat: %{{{argument}}}t: %{directive or ''}: {why}")
    return "".join(pattern)
