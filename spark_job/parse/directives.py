"""The directives of Apache's LogFormat: the text that each one writes, and the column that it feeds.

===========================  ============  =======================================================================
directive                    role          note
===========================  ============  =======================================================================
``%h`` ``%a`` ``%{c}a``      host          ``%h`` wins over ``%a`` where a format has both
``%u``                       user          may contain blanks; an empty name is written ``""``
``%t`` ``%{...}t``           time          all time fields of a format are read as one (:mod:`.strftime`)
``%r``                       request       the whole request line
``%m`` ``%U`` ``%q`` ``%H``  method ...    used if the format has no ``%r``; ``%U%q`` is one target
``%s`` ``%>s``               status        ``%>s`` wins: the status that was sent, not one before an internal redirect
``%b`` ``%B`` ``%O``         bytes         in this order; ``%O`` counts headers, too
``%D`` ``%T`` ``%{us}T``     duration      the finest one wins; the column is in seconds
``%{Referer}i``              referrer
``%{User-Agent}i``           agent
all others of mod_log_config               checked, not kept
===========================  ============  =======================================================================

``<`` or ``>`` and a list of statuses may follow the ``%`` (``%!200,304{Referer}i``): Apache then writes ``-`` for other
statuses. Source: the documentation of mod_log_config and mod_logio, Apache 2.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.common.suggest import did_you_mean

DIRECTIVE = re.compile(r"%(?P<modifiers>[<>!0-9,]*)(?:\{(?P<argument>[^}]*)\})?(?P<letter>\^[A-Za-z]{2}|[A-Za-z]|%)")

WORD = r'[^ "]+?'
QUOTABLE = r'(?:[^"\\]|\\.)*?'
ANYTHING = r"(?:[^\\]|\\.)*?"
NUMBER = r"(?:[0-9]{1,18}|-)"
STATUS = r"(?:[0-9]{3}|-)"
USER = r'(?:""|(?:[^"\\]|\\.)+?)'


@dataclass(frozen=True)
class Field:
    """One directive of a format: the column that it feeds, and the text that it may write.

    Attributes:
        role: what the text means; empty if the text is checked and dropped.
        pattern: regular expression of the text, without named groups.
        rank: if several fields have the same role, the one with the lowest rank is used.
        plain: a narrower and faster expression that most texts match; empty if one can be derived from ``pattern``.
        scale: for a duration, its units per second.
        escaped: whether the server escapes quotes, backslashes and control characters in the text.
        time: for a time, the pattern with named parts (:mod:`.times`).
    """

    role: str
    pattern: str
    rank: int = 0
    plain: str = ""
    scale: int = 1
    escaped: bool = False
    time: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the text is a number, a size or a status: these have few distinct values."""
        return self.pattern in (NUMBER, STATUS)


def _word(role: str = "", rank: int = 0) -> Field:
    return Field(role, WORD, rank)


def _text(role: str = "", rank: int = 0) -> Field:
    return Field(role, ANYTHING, rank, escaped=True)


_PLAIN = {
    "a": _word("host", 1),
    "A": _word(),
    "b": Field("bytes", NUMBER, 0),
    "B": Field("bytes", NUMBER, 1),
    "D": Field("duration", NUMBER, 0, scale=1_000_000),
    "f": _text(),
    "h": _word("host", 0),
    "H": _word("protocol"),
    "I": Field("", NUMBER),
    "k": Field("", NUMBER),
    "l": _word(),
    "L": _word(),
    "m": _word("method"),
    "O": Field("bytes", NUMBER, 2),
    "p": Field("", NUMBER),
    "P": Field("", NUMBER),
    "q": _text("query"),
    "r": _text("request"),
    "R": _text(),
    "s": Field("status", STATUS, 1),
    "S": Field("", NUMBER),
    "T": Field("duration", NUMBER, 3),
    "u": Field("user", USER, escaped=True),
    "U": _text("target"),
    "v": _word(),
    "V": _word(),
    "X": Field("", r"[-X+]"),
    "^FB": Field("", NUMBER),
}
_WITH_ARGUMENT = {
    **{letter: _text() for letter in ("C", "e", "i", "n", "o", "^ti", "^to")},
    "a": _word("host", 1),
    "h": _word("host", 0),
    "p": Field("", NUMBER),
    "P": _word(),
}
_HEADERS = {"referer": _text("referrer"), "user-agent": _text("agent")}
_DURATIONS = {
    "us": Field("duration", NUMBER, 0, scale=1_000_000),
    "ms": Field("duration", NUMBER, 2, scale=1_000),
    "s": Field("duration", NUMBER, 3),
}
_CUTOFF = 0.3
"""Lower than for words: two directives of two letters that share the per cent sign are half alike already."""
_KNOWN = ["%t", "%>s", "%{Referer}i", "%{User-Agent}i", "%{ms}T", *(f"%{letter}" for letter in _PLAIN)]


def field_of(letter: str, argument: str | None, *, final: bool) -> Field | None:
    """Return the field of a directive other than ``%t``; None if Apache has no such directive.

    Args:
        letter: the letter at the directive's end.
        argument: the text in braces; None without braces.
        final: whether the directive has ``>``: it then stands for the last request after internal redirects.
    """
    if argument is None:
        field = _PLAIN.get(letter)
        return Field("status", STATUS, 0) if field is not None and field.role == "status" and final else field
    if letter == "i":
        return _HEADERS.get(argument.lower(), _text())
    if letter == "T":
        return _DURATIONS.get(argument)
    return _WITH_ARGUMENT.get(letter)


def suggestion(directive: str) -> str:
    """Return the end of an error text: it names the known directive that is nearest to an unknown one."""
    return did_you_mean(directive, _KNOWN, cutoff=_CUTOFF)
