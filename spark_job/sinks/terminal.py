"""Text for a terminal: harmless whatever a stranger wrote into a log line, and bounded in width.

Whatever could steer a terminal or reorder a line (control, format and bidirectional characters, lone surrogates) is
shown as an escape. Width is counted in cells, because a Chinese character takes two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, set_cell_size

from headrace.common.text import escaped
from spark_job.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# Combining marks take no cell, so a bound on cells alone would not bound the length of a line.
MAX_CHARACTERS_PER_CELL = 2


def visible(text: str, width: int) -> str:
    r"""Return ``text`` safe to print, in at most ``width`` cells; an ellipsis marks a cut.

    Unsafe characters become escapes as in a Python string, such as ``\x1b`` or ``\u202e``.
    """
    # Cut first: a URL of a megabyte must not be escaped as a whole to show a hundred characters of it.
    cut = text[: width * MAX_CHARACTERS_PER_CELL]
    safe = escaped(cut)
    if cell_len(safe) <= width and len(cut) == len(text):
        return safe
    return set_cell_size(safe, min(width - 1, cell_len(safe))) + "\N{HORIZONTAL ELLIPSIS}"


def instant_text(instant: datetime) -> str:
    """Return an instant for people: ``2015-05-17 10:05:00``, with milliseconds only if it has some."""
    text = instant.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{instant.microsecond // 1000:03d}" if instant.microsecond else text


def print_block(stream: TextIO, lines: Iterable[str]) -> None:
    """Print lines and an empty one.

    Raises:
        SinkError: the stream cannot be written.
    """
    try:
        stream.write("\n".join(lines) + "\n\n")
        stream.flush()
    except OSError as error:
        raise SinkError(f"console: cannot be written: {error.strerror}") from error
