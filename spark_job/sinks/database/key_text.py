r"""Text in a key: a stored form that every database can hold, and that is different for different texts.

=====================================  ===============================================================================
what a database cannot hold            why
=====================================  ===============================================================================
no value (NULL)                        a primary key has no NULLs; SQLite takes two NULLs for two keys
longer than the limit                  index entries are bounded: 2,704 bytes in PostgreSQL, 3,072 in InnoDB
a NUL character                        PostgreSQL cannot store one
bytes that are not UTF-8               a string of Spark may hold any bytes, a database's may not
=====================================  ===============================================================================

::

    (no value)         "(null)"
    long text          its beginning + "~" + the first 32 hex digits of the SHA-256 of the whole text
    text with NUL or   the same, with U+FFFD for each NUL and each such byte
    such bytes
    text that looks    the same. Otherwise a stranger could write a URL that gets another URL's row: "(null)", or
    like one of these  any text that ends with "~" and 32 hex digits

All other text is stored unchanged. In text outside a key only NULs and such bytes are replaced, by U+FFFD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.common.text import ends_in_hash_mark, hash_mark

NO_VALUE = "(null)"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SHORTEST_LIMIT = 64
# A byte that is not UTF-8 arrives as a lone surrogate (PEP 383).
_NOT_STORABLE = re.compile("[\ud800-\udfff]")
_NOT_STORABLE_OR_NUL = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class KeyText:
    """Rule for one column.

    Attributes:
        max_characters: limit of the column, at least 64; None: no limit.
        holds_nul: whether the database can store NUL characters.
    """

    max_characters: int | None = None
    holds_nul: bool = False

    def stored(self, text: str | None) -> str:
        """Return the form in which a key is stored."""
        if text is None:
            return NO_VALUE
        not_held = _NOT_STORABLE if self.holds_nul else _NOT_STORABLE_OR_NUL
        fits = self.max_characters is None or len(text) <= self.max_characters
        if fits and text != NO_VALUE and not not_held.search(text) and not ends_in_hash_mark(text):
            return text
        # The hash is of the whole text, not of the part that is kept: long texts with equal beginnings stay apart.
        mark = hash_mark(text)
        kept = text if self.max_characters is None else text[: self.max_characters - len(mark)]
        return not_held.sub(REPLACEMENT, kept) + mark


def storable(text: str | None) -> str | None:
    """Return text that every database can store."""
    return None if text is None else _NOT_STORABLE_OR_NUL.sub(REPLACEMENT, text)
