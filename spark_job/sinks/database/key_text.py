r"""Text as part of a key: every text gets a form that the database can hold, and no two get the same.

=====================================  ===============================================================================
what cannot be held                    why
=====================================  ===============================================================================
no value (NULL)                        a primary key has none, and in SQLite two NULLs are two keys
longer than the limit                  the entry of an index is bounded: 2,704 bytes in PostgreSQL, 3,072 in InnoDB
a NUL character                        PostgreSQL has no way to store one
bytes that are no UTF-8                Spark lets any bytes be a string, databases do not
=====================================  ===============================================================================

::

    (no value)         "(null)"
    long text          its beginning + "~" + the first 32 hex digits of the SHA-256 of the whole
    text with NUL, or  the same, each NUL and each such byte shown as U+FFFD
    with stray bytes
    text that looks    the same, so that nobody who writes URLs can put his counts into the row of another: "(null)",
    like one of these  and whatever ends with "~" and 32 hex digits

All other text stays as it is. Text that is not a key loses only its NULs and stray bytes, each becomes U+FFFD.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

NO_VALUE = "(null)"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
DIGITS = 32
SHORTEST_LIMIT = 64
_LOOKS_DISGUISED = re.compile(rf"~[0-9a-f]{{{DIGITS}}}\Z")
# A byte that is no UTF-8 comes as a surrogate (PEP 383).
_STRAY = re.compile("[\ud800-\udfff]")
_STRAY_OR_NUL = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class KeyText:
    """The rule of one column.

    Attributes:
        max_characters: limit of the column, at least 64; None: there is none.
        holds_nul: whether the database can store NUL characters.
    """

    max_characters: int | None = None
    holds_nul: bool = False

    def stored(self, text: str | None) -> str:
        """Return the form in which a key is stored."""
        if text is None:
            return NO_VALUE
        unheld = _STRAY if self.holds_nul else _STRAY_OR_NUL
        fits = self.max_characters is None or len(text) <= self.max_characters
        if fits and text != NO_VALUE and not unheld.search(text) and not _LOOKS_DISGUISED.search(text):
            return text
        mark = "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
        kept = text if self.max_characters is None else text[: self.max_characters - len(mark)]
        return unheld.sub(REPLACEMENT, kept) + mark


def storable(text: str | None) -> str | None:
    """Return text that every database can store."""
    return None if text is None else _STRAY_OR_NUL.sub(REPLACEMENT, text)
