"""Text for terminals: what comes from logs, files and other processes is made harmless and short first."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 2000


def printable(text: str, max_characters: int = MAX_CHARACTERS) -> str:
    """Return ``text`` without characters that steer a terminal, and cut to ``max_characters``. Newlines stay."""
    kept = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return kept if len(kept) <= max_characters else kept[: max_characters - 1] + "\N{HORIZONTAL ELLIPSIS}"
