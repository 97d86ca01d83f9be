"""Log formats, named ones and Apache LogFormat strings, as sequences of fields and the literal text between them.

==============  =========================================================================================
name            format
==============  =========================================================================================
common          ``%h %l %u %t "%r" %>s %b``
combined        common, then ``"%{Referer}i" "%{User-Agent}i"``
vhost_combined  ``%v:%p`` before combined, as Debian's Apache writes it
nginx_json      JSON lines (:mod:`.nginx_json`)
==============  =========================================================================================

In ``combined`` and ``vhost_combined`` a blank and more text may follow: nginx's ``main`` and many other formats are
combined with something at the end. ``common`` and LogFormat strings say where a line ends; a longer line is malformed.

A field's text ends at the first place where the literal text after it lets the rest of the line match. So two fields
need a literal between them; only ``%U%q`` are read as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from headrace.common.suggest import did_you_mean
from spark_job.errors import OptionError
from spark_job.parse.directives import ANYTHING, DIRECTIVE, QUOTABLE, Field, field_of, suggestion
from spark_job.parse.strftime import time_pattern
from spark_job.parse.times import TimePattern

NGINX_JSON = "nginx_json"
NAMED = {
    "common": '%h %l %u %t "%r" %>s %b',
    "combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
    "vhost_combined": '%v:%p %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
}
_MAY_GO_ON = {"combined", "vhost_combined"}
TIME_JOIN = "\x1f"
"""Joins the texts of several time fields of a format, which are read as one time."""
_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\t": "\t", "\\n": "\n"}


@dataclass(frozen=True)
class LineFormat:
    """The elements of a line, in order: literal text (str) and fields.

    Attributes:
        elements: literals and fields; no two literals and no two fields are neighbours.
        may_go_on: whether a blank and more text may follow the last element.
        time: how to read the texts of the time fields, joined by :data:`TIME_JOIN`; None if the format has none.
    """

    elements: tuple[str | Field, ...]
    may_go_on: bool
    time: TimePattern | None

    @property
    def fields(self) -> dict[str, Field]:
        """The fields with a role, by role; several time fields have the roles ``time``, ``time1``, ``time2``..."""
        return {element.role: element for element in self.elements if isinstance(element, Field) and element.role}

    def pattern(self, roles: set[str]) -> str:
        """Return the regular expression of a whole line, with a named group for each of ``roles``."""
        end = r"(?: .*)?" if self.may_go_on else ""
        return f"(?s)^{pattern_of(self.elements, roles)}{end}$"


def pattern_of(elements: tuple[str | Field, ...], roles: set[str]) -> str:
    """Return the regular expression of some elements, with a named group for each of ``roles``."""
    pieces = []
    for element in elements:
        if isinstance(element, str):
            pieces.append(re.escape(element))
        elif element.role in roles:
            pieces.append(f"(?P<{element.role}>{element.pattern})")
        else:
            pieces.append(f"(?:{element.pattern})")
    return "".join(pieces)


def line_format(log_format: str) -> LineFormat:
    """Return the format with this name, or the one that a LogFormat string describes.

    Raises:
        OptionError: the text is neither a name nor a usable LogFormat string; the error says where and why.
    """
    text = NAMED.get(log_format)
    if text is None:
        if "%" not in log_format:
            names = [*NAMED, NGINX_JSON]
            raise OptionError(
                f"logFormat: no format {log_format!r}; known are {', '.join(names)}, and LogFormat strings"
                f"{did_you_mean(log_format, names)}"
            )
        text = log_format
    elements = _chosen(_quoted(_elements(text)))
    times = [element.time for element in elements if isinstance(element, Field) and element.time]
    time = TimePattern(TIME_JOIN.join(times)) if times else None
    if time is not None and (problem := time.problem()):
        raise OptionError(f"logFormat: the time cannot be read: {problem}")
    roles = {element.role for element in elements if isinstance(element, Field)}
    if not roles & {"request", "target"}:
        raise OptionError("logFormat: without %r or %U a line has no URL to count; add one of them")
    return LineFormat(elements, log_format in _MAY_GO_ON, time)


def _elements(text: str) -> list[str | Field]:
    """Cut a LogFormat string into literals and fields."""
    elements: list[str | Field] = []
    position = 0
    while position < len(text):
        found = DIRECTIVE.match(text, position)
        if found is not None and found["letter"] != "%":
            if elements and isinstance(elements[-1], Field) and not _one_target(elements[-1], found):
                raise OptionError(
                    f"logFormat: position {position}: nothing stands between {found[0]} and the directive before it, "
                    "so a line does not show where one ends; put a blank or other text between them"
                )
            elements.append(_field_at(found))
            position = found.end()
            continue
        if text[position] == "%" and found is None:
            raise OptionError(f"logFormat: position {position}: a % without a directive; write %% for a percent sign")
        pair = text[position : position + 2]
        literal = "%" if found else _ESCAPES.get(pair, text[position])
        position += len(pair) if found or pair in _ESCAPES else 1
        if elements and isinstance(elements[-1], str):
            elements[-1] += literal
        else:
            elements.append(literal)
    return elements


def _one_target(before: Field, directive: re.Match[str]) -> bool:
    return before.role == "target" and directive["letter"] == "q"


def _field_at(directive: re.Match[str]) -> Field:
    """Return the field of a directive; the field of ``%t`` has the pattern of its time."""
    letter, argument = directive["letter"], directive["argument"]
    if letter == "t":
        pattern = time_pattern(argument or "")
        if not argument:
            return Field("time", r'\[[^\[\]"]*\]', plain=r"\[[0-9A-Za-z/: +-]+\]", time=pattern)
        # The parts are read from the text of the time afterwards; here their names would clash with those of the
        # fields.
        unnamed = re.sub(r"\(\?P<[a-z_]+>", "(?:", pattern)
        return Field("time", unnamed, plain=unnamed, time=pattern)
    field = field_of(letter, argument, final=">" in directive["modifiers"])
    if field is None:
        raise OptionError(
            f"logFormat: position {directive.start()}: no directive {directive[0]}{suggestion(directive[0])}"
        )
    return field


def _quoted(elements: list[str | Field]) -> list[str | Field]:
    """Join ``%U%q`` into one field, and forbid unescaped quotes in a text that stands between quotes."""
    result: list[str | Field] = []
    for element in elements:
        if isinstance(element, Field) and element.role == "query":
            if result and isinstance(result[-1], Field):
                continue
            result.append(replace(element, role=""))
        else:
            result.append(element)
    for place in range(1, len(result) - 1):
        before, field, after = result[place - 1 : place + 2]
        if (
            isinstance(before, str)
            and isinstance(field, Field)
            and isinstance(after, str)
            and field.pattern == ANYTHING
            and before.endswith('"')
            and after.startswith('"')
        ):
            result[place] = replace(field, pattern=QUOTABLE)
    return result


def _chosen(elements: list[str | Field]) -> tuple[str | Field, ...]:
    """Leave each role to the field with the lowest rank, and number the time fields."""
    fields = [element for element in elements if isinstance(element, Field)]
    superseded = {"method", "target", "protocol"} if any(field.role == "request" for field in fields) else set()
    best: dict[str, Field] = {}
    for field in fields:
        if field.role not in best or field.rank < best[field.role].rank:
            best[field.role] = field
    result: list[str | Field] = []
    times = 0
    for element in elements:
        if isinstance(element, str):
            result.append(element)
        elif element.role == "time":
            result.append(replace(element, role=f"time{times or ''}"))
            times += 1
        elif element.role not in superseded and element is best.get(element.role):
            result.append(best.pop(element.role))
        else:
            result.append(replace(element, role=""))
    return tuple(result)
