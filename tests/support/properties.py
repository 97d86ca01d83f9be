"""A reference reader of the Java properties format, written from the description of java.util.Properties.load."""

from __future__ import annotations

_BLANKS = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def read_properties(text: str) -> dict[str, str]:
    """Read a whole file's text into {key: value}; a later line of the same key wins."""
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        key, value = _split(line)
        found[_unescape(key)] = _unescape(value)
    return found


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    open_line: str | None = None
    for natural in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        stripped = natural.lstrip(_BLANKS)
        if open_line is None and (not stripped or stripped[0] in "#!"):
            continue
        line = (open_line or "") + stripped
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            open_line = line[:-1]
        else:
            lines.append(line)
            open_line = None
    if open_line is not None:
        lines.append(open_line)
    return lines


def _split(line: str) -> tuple[str, str]:
    end, escaped = len(line), False
    for i, character in enumerate(line):
        if not escaped and character in _BLANKS + "=:":
            end = i
            break
        escaped = character == "\\" and not escaped
    rest = line[end:].lstrip(_BLANKS)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANKS)
    return line[:end], rest


def _unescape(text: str) -> str:
    units: list[int] = []
    i = 0
    while i < len(text):
        character = text[i]
        i += 1
        if character == "\\" and i < len(text):
            character = text[i]
            i += 1
            if character == "u":
                units.append(int(text[i : i + 4], 16))
                i += 4
                continue
            character = _ESCAPES.get(character, character)
        units.append(ord(character))
    return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be", "surrogatepass")
