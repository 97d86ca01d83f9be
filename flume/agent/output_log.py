"""The agent's output: bounded on disk, its errors at hand for messages."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_QUOTED_CHARS = 400
_KEPT_ERRORS = 20
_MAX_LINE_BYTES = 64 * 1024
_HEAD = re.compile(r"^\S+ (TRACE|DEBUG|INFO|WARN|ERROR|FATAL) ")
_SOURCE_GAVE_UP = re.compile(r"^\S+ ERROR SpoolDirectorySource: FATAL: ")
_CAUSE = re.compile(r"^(Caused by: )?([\w$]+\.)+[\w$]+(Exception|Error)\b")


def printable(text: str, limit: int = MAX_QUOTED_CHARS) -> str:
    """Make text from a log fit for a message: bounded, control characters replaced, since file names are free text."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(c if c.isprintable() else "?" for c in cut)


class RotatingLog:
    """A file that is renamed to ``<name>.1`` when it is full, so that two times ``max_bytes`` is all it ever takes."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = path.open("ab")

    def write(self, line: bytes) -> None:
        """Append one line, which is flushed."""
        if self._file.tell() + len(line) > self._max_bytes and self._file.tell() > 0:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """Close the file; writing after that is an error."""
        self._file.close()


class OutputReader:
    """Reads a process's output on a thread of its own until it ends.

    Errors and the first line of each cause in their traces are kept, the last of them only.

    Attributes:
        source_gave_up: whether the spooling source has said that it ends. It says so before it counts it.
    """

    def __init__(self, stream: BinaryIO, sink: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._sink = sink
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._in_error = False
        self.source_gave_up = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="agent-output", daemon=True)
        self._thread.start()

    def errors(self) -> tuple[str, ...]:
        """Return the last error lines, oldest first, each fit for a message."""
        with self._lock:
            return tuple(self._errors)

    def join(self, timeout_s: float) -> None:
        """Wait until everything the process wrote has been read."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with self._stream:
            while line := self._stream.readline(_MAX_LINE_BYTES):
                self._note(line.decode("utf-8", "replace").rstrip())
                self._sink(line)

    def _note(self, text: str) -> None:
        head = _HEAD.match(text)
        if head:
            self._in_error = head.group(1) in ("ERROR", "FATAL")
        if _SOURCE_GAVE_UP.match(text):
            self.source_gave_up = True
        if self._in_error and (head or _CAUSE.match(text)):
            with self._lock:
                self._errors.append(printable(text))
