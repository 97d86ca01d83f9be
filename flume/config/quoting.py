r"""Quotes values for the two file formats that the templates write.

**Java properties** (java.util.Properties.load). A file is read as Latin-1. A line that ends in an odd number of
backslashes continues in the next line, whose leading blanks are dropped. The key ends at the first unescaped ``=``,
``:`` or blank; blanks, one ``=`` or ``:`` and more blanks are skipped; the rest is the value. Keys are not quoted here:
the templates write them, and the one part that a user chooses, agent.name, is letters, digits, ``_`` and ``-``::

    text    written    why
    \       \\         begins an escape
    = : # ! \= \: ...  could end a key or make a line a comment
    blank   '\ '       at the start of a value, where blanks would be skipped
    \t\n\f\r the same  as the two-character escapes
    others  \uXXXX     below 0x20 and above 0x7E, as UTF-16 units

**Java launcher's argument files** (``java @file``). Blanks separate arguments; inside double quotes a backslash is
doubled, a double quote is escaped, and a line's end is ``\n``.

Flume adds rules that cannot be escaped: it trims values and replaces ``${...}``. values.py refuses such texts.
"""

from __future__ import annotations

_NAMED = {"\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_SPECIAL = frozenset("\\=:#!")


def properties_value(value: object) -> str:
    """Quote a value so that java.util.Properties reads the same text; booleans become ``true`` and ``false``."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    blanks = len(text) - len(text.lstrip(" "))
    return "\\ " * blanks + "".join(map(_properties_character, text[blanks:]))


def _properties_character(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if character in _SPECIAL:
        return "\\" + character
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def launcher_argument(text: str) -> str:
    """Quote one argument for a file that the Java launcher reads as ``@file``."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'
