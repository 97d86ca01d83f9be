"""Reads what stages leave behind: the last message of a dead process, and small JSON files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.common.text import printable
from headrace.errors import StageRefused
from headrace.local.supervisor import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.local.child_process import ChildProcess

CONFIGURATION_REFUSED = 2
MAX_CAUSE_CHARACTERS = 500


def exit_failure(process: ChildProcess | None) -> Failure | None:
    """Return why a process has ended, from its exit code and its last message; None while it lives."""
    code = process.exit_code() if process is not None else None
    if process is None or code is None:
        return None
    cause = last_message(process.last_lines())
    reason = f": {cause}" if cause else ""
    if code == CONFIGURATION_REFUSED:
        return Failure(f"refused its configuration{reason}", final=StageRefused)
    return Failure(f"was killed by signal {-code}{reason}" if code < 0 else f"ended with exit code {code}{reason}")


def last_message(lines: Sequence[str]) -> str:
    """Return the newest line that reports a problem, harmless for terminals.

    A line of JSON counts if its level is above info, and gives its message. Any other line counts and is given whole.
    """
    for line in reversed(lines):
        text = line.strip()
        fields = parse_json(text)
        if fields is not None:
            if fields.get("level") in ("debug", "info"):
                continue
            text = ", ".join(str(fields[key]) for key in ("msg", "error") if fields.get(key))
        if text:
            return printable(text.replace("\n", " "), MAX_CAUSE_CHARACTERS)
    return ""


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is no such file or no such object yet."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def parse_json(text: str) -> dict[str, Any] | None:
    """Return ``text`` as a JSON object; None if it is not one."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
