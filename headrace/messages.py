"""Messages to the user: one function, which writes to standard error."""

from __future__ import annotations

import sys

from headrace.common.text import printable


def say(text: str) -> None:
    """Write a message to standard error, each line marked as Headrace's and harmless for terminals."""
    try:
        for line in printable(text, lines=True).splitlines():
            sys.stderr.write(f"headrace: {line}\n")
        sys.stderr.flush()
    except OSError:
        pass  # the terminal is gone; the caller must still be able to stop the stages
