"""Reads the agent's output: writes it to a log of bounded size, and keeps its last errors for messages."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

from headrace.common.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_LOG_BYTES = 8 * 1024 * 1024
MAX_QUOTED_CHARS = 400
_KEPT_ERRORS = 20
_MAX_LINE_BYTES = 64 * 1024
# The rendered log4j2.xml writes time, level, logger and text; traces follow on lines without such a head.
_HEAD = re.compile(r"^\S+ (TRACE|DEBUG|INFO|WARN|ERROR|FATAL) ")
_SOURCE_GAVE_UP = re.compile(r"^\S+ ERROR SpoolDirectorySource: FATAL: ")
_CAUSE = re.compile(r"^(Caused by: )?([\w$]+\.)+[\w$]+(Exception|Error)\b")


class RotatingLog:
    """A log file that is renamed to ``<name>.1`` when it is full, so both take at most two times ``max_bytes``."""

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = path.open("ab")

    def write(self, line: bytes) -> None:
        """Append one line and flush it."""
        if self._file.tell() + len(line) > self._max_bytes and self._file.tell() > 0:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """Close the file; a later write is an error."""
        self._file.close()


class OutputReader:
    """Reads a process's output on a thread until the output ends.

    It keeps the last error lines, and of their stack traces the first line of each cause.

    Args:
        stream: the output.
        sink: called with each line, on the thread.

    Attributes:
        source_gave_up: whether the spooling source has logged that it gives up. Flume logs it before it counts it on
            the metrics page.
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
        """Return the last error lines, oldest first, each bounded and without control characters."""
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
        # Remembered apart from the lines, since later errors may push this one out of those that are kept.
        if _SOURCE_GAVE_UP.match(text):
            self.source_gave_up = True
        if self._in_error and (head or _CAUSE.match(text)):
            with self._lock:
                # File names in errors are free text: they may hold anything.
                self._errors.append(printable(text, MAX_QUOTED_CHARS))
