r"""Text that people read: harmless for terminals, bounded, and always in the same form.

Log lines carry text that strangers wrote. Two ways make it harmless:

=====================  ====================================================  =========================================
function               what could steer a terminal or reorder a line         used for
=====================  ====================================================  =========================================
:func:`printable`      becomes U+FFFD                                        messages: short, nobody copies from them
:func:`escaped`        becomes ``\x1b``, ``\u202e``, ``\n``                  data: nothing of it is lost
=====================  ====================================================  =========================================
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

MAX_CHARACTERS: Final = 2000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MARK_DIGITS: Final = 32
_HASH_MARK: Final = re.compile(rf"~[0-9a-f]{{{_MARK_DIGITS}}}\Z")
_BINARY_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# Control, format (bidirectional marks among them), surrogate, private and unassigned characters, and line separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_safe(character: str) -> bool:
    """Say whether a character only shows itself: it moves nothing and hides nothing."""
    return unicodedata.category(character) not in _UNSAFE


def printable(text: str, max_characters: int = MAX_CHARACTERS, *, lines: bool = False) -> str:
    """Return ``text`` without unsafe characters, cut to ``max_characters``.

    Args:
        text: anything.
        max_characters: length of the result; a cut is marked with an ellipsis.
        lines: whether line feeds stay.
    """
    cut = text if len(text) <= max_characters else text[: max_characters - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join(c if (lines and c == "\n") or is_safe(c) else "\N{REPLACEMENT CHARACTER}" for c in cut)


def escaped(text: str) -> str:
    r"""Return ``text`` with unsafe characters written as in a Python string, ``\x1b`` or ``\u202e``."""
    return "".join(c if is_safe(c) else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def hash_mark(text: str) -> str:
    """Return the end of a shortened text: ``~`` and 32 hex digits of the SHA-256 of the whole, which keep texts apart.

    A lone surrogate, which stands for a byte that is not UTF-8 (PEP 383), is hashed too.
    """
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_DIGITS]


def ends_in_hash_mark(text: str) -> bool:
    """Say whether a text ends as :func:`hash_mark` writes it."""
    return _HASH_MARK.search(text) is not None


def iso_utc(instant: datetime) -> str:
    """Return an instant that is in UTC as ISO 8601 with a ``Z``, without a fraction where it is zero."""
    return instant.replace(tzinfo=None).isoformat() + "Z"


def binary_size(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves at least one, with two digits at least."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_BINARY_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_BINARY_UNITS[unit]}" if unit == 0 or size >= 10 else f"{size:.1f} {_BINARY_UNITS[unit]}"


def first_difference(file: str, code: str) -> str:
    """Say where a committed file first differs from what the code makes of it today; empty if they are the same."""
    lines = zip_longest(file.splitlines(keepends=True), code.splitlines(keepends=True))
    for number, (here, there) in enumerate(lines, 1):
        if here != there:
            return f"  line {number} of the file: {_shown(here)}\n  the code says: {_shown(there)}"
    return ""


def _shown(line: str | None) -> str:
    if line is None:
        return "(nothing)"
    return escaped(line[:-1]) if line.endswith("\n") else f"{escaped(line)} (without a line end)"
