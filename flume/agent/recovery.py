"""Advances Flume's tracker past the batch that a killed agent committed to its file channel but did not record.

For each batch of lines Flume does three steps::

    1  read the lines, add the time as a header, put them into the channel
    2  commit them to the channel: they are synced to disk and will be sent
    3  record in the tracker how far the file was read

An agent that is killed between 2 and 3 reads the batch again when it is restarted, and sends its lines twice, under new
ids. At most one batch can be in that state, the newest one committed. So before an agent starts on a file channel, that
batch is compared with the lines in the file that the tracker names, and step 3 is done if it was missing:

===================================  ====================================  ===========================================
the batch equals the lines after     the batch equals the lines before     action
the tracker's offset                 the tracker's offset
===================================  ====================================  ===========================================
no                                   (does not matter)                     none: 3 was done, or 2 was not
yes                                  no                                    step 3
yes                                  yes: the file repeats itself          step 3, if the tracker is older than the
                                                                           batch's time header
===================================  ====================================  ===========================================

A tracker clearly newer than the time header means that step 3 was done, whatever the lines are: a file may begin like
the end of an earlier file of the same name.

The tracker is an Avro file: its metadata holds the path of the file being read, and it has one block for each batch, of
which the last record counts. It is empty until the first batch of a file is recorded; until then the header
``basename`` of the batch names the file. Flume continues after the last whole block, and at the start of the file if
the tracker is empty. This follows ``org.apache.flume.serialization.DurablePositionTracker`` of Flume 1.11.0 and the
files that a killed agent left (tests/flume/agent/test_recovery.py).
"""

from __future__ import annotations

import codecs
import io
import mmap
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import fastavro

from flume.agent.file_channel import newest_puts
from flume.errors import RecoveryError
from headrace.common.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flume.agent.file_channel import Put

TRACKER: Final = ".flumespool/.flumespool-main.meta"
TIMESTAMP_HEADER: Final = "timestamp"
BASENAME_HEADER: Final = "basename"
SCHEMA: Final = {
    "type": "record",
    "name": "TransferStateFileMeta",
    "namespace": "org.apache.flume.serialization",
    "fields": [{"name": "offset", "type": "long"}],
}
Content: TypeAlias = bytes | mmap.mmap
CLOCK_MARGIN_MS: Final = 50
"""Two times count as equal within this: file times are those of the kernel's last tick, and time headers are cut to
milliseconds."""


@dataclass(frozen=True)
class LineRules:
    """How Flume cuts a file into lines: the values spool.charset and spool.max_line_chars."""

    charset: str
    max_chars: int


@dataclass(frozen=True)
class Advanced:
    """The batch that was recorded for a killed agent, and the offset in its file that is read next."""

    file: str
    lines: int
    offset: int


@dataclass(frozen=True)
class _Tracker:
    file: str | None
    """None while the tracker is empty."""
    offset: int
    changed_ms: float


def advance_tracker(spool_folder: Path, channel_folder: Path, rules: LineRules) -> Advanced | None:
    """Record a batch that a killed agent committed but did not record; return None if there was no such batch.

    No agent may use the folders meanwhile.

    Raises:
        RecoveryError: the tracker or the channel cannot be read, or the tracker cannot be written. The agent can be
            started all the same; in the worst case it sends one batch twice.
    """
    path = spool_folder / TRACKER
    try:
        codecs.lookup(rules.charset)
    except LookupError:
        raise RecoveryError(
            f"spool.charset = {rules.charset}: Python cannot decode it, so lines cannot be compared"
        ) from None
    try:
        tracker = _read_tracker(path)
        if tracker is None:
            return None
        batch = newest_puts(channel_folder / "data")
        file = tracker.file or _file_of(batch, spool_folder)
        if not batch or file is None:
            return None
        with _mapped(file) as content:
            end = end_of_batch(content, tracker.offset, batch, rules)
            if end is None or not _is_unrecorded(content, tracker, batch, rules):
                return None
        _write_tracker(path, file, end)
    except FileNotFoundError:
        # The file was read to its end, then deleted or renamed.
        return None
    except OSError as error:
        raise RecoveryError(f"{error.filename or path}: {error.strerror or error}") from error
    return Advanced(file, len(batch), end)


def _file_of(batch: Sequence[Put], spool_folder: Path) -> str | None:
    """Return the path of a batch's file in the form that Flume writes; None if its events do not name the file."""
    name = batch[0].headers.get(BASENAME_HEADER) if batch else None
    return str(spool_folder / name) if name else None


def _write_tracker(path: Path, file: str, offset: int) -> None:
    """Replace the tracker by one with a single record; if that fails, the old one stays whole."""
    with replacing(path) as target:
        fastavro.writer(target, SCHEMA, [{"offset": offset}], metadata={"file": file})


def end_of_batch(content: Content, offset: int, batch: Sequence[Put], rules: LineRules) -> int | None:
    """Return where a batch ends whose first line starts at ``offset``; None if the file holds other lines there."""
    position = offset
    for put in batch:
        end = _end_of_line(content, position, put.body, rules)
        if end is None:
            return None
        position = end
    return position


def _end_of_line(content: Content, start: int, body: bytes, rules: LineRules) -> int | None:
    """Return where the line with this body ends, with its line feed; None if the file holds another line there."""
    if start >= len(content):
        return None
    # No character takes more than four bytes: a file without line feeds is not searched to its end.
    bound = min(len(content), start + 4 * rules.max_chars + 4)
    line_feed = content.find(b"\n", start, bound)
    text = content[start : bound if line_feed < 0 else line_feed].decode(rules.charset, "replace")
    if len(_utf_16(text)) // 2 < rules.max_chars:
        end = bound if line_feed < 0 else line_feed + 1
        return end if _comparable(text) == _comparable(body.decode(errors="replace")) else None
    # Flume cuts a line at the greatest length even if only its line feed is left; that becomes the next, empty line.
    piece = _utf_16(text)[: 2 * rules.max_chars].decode("utf-16-le", "replace")
    raw = piece.encode(rules.charset, "replace")
    return start + len(raw) if piece.encode() == body and content[start : start + len(raw)] == raw else None


def _utf_16(text: str) -> bytes:
    """Return the text in the units in which Java counts characters: two bytes each."""
    return text.encode("utf-16-le", "surrogatepass")


def _comparable(text: str) -> str:
    """Remove replacement characters: Java and Python write different numbers of them for the same bad bytes."""
    return text.replace("\ufffd", "")


def _is_unrecorded(content: Content, tracker: _Tracker, batch: Sequence[Put], rules: LineRules) -> bool:
    """Whether a batch that equals the lines after the tracker's offset is not the one recorded last."""
    stamps = [put.headers.get(TIMESTAMP_HEADER, "") for put in batch]
    if all(stamp.isascii() and stamp.isdigit() for stamp in stamps):
        age_ms = max(map(int, stamps)) - tracker.changed_ms
        if abs(age_ms) > CLOCK_MARGIN_MS:
            return age_ms > 0
    start = tracker.offset - sum(len(put.body) + 1 for put in batch)
    return start < 0 or end_of_batch(content, start, batch, rules) != tracker.offset


def _read_tracker(path: Path) -> _Tracker | None:
    """Return the tracker's content; None without a tracker: no file was being read."""
    try:
        content = path.read_bytes()
        changed_ms = path.stat().st_mtime_ns / 1e6
    except FileNotFoundError:
        return None
    if not content:
        return _Tracker(None, 0, changed_ms)
    offset, stream = 0, io.BytesIO(content)
    try:
        blocks = fastavro.block_reader(stream)
        file = blocks.metadata["file"]
        try:
            for block in blocks:
                for record in block:
                    offset = int(record["offset"])  # type: ignore[index,call-overload]
        except (EOFError, ValueError):
            # A full disk may have cut off the last block, in its record or in the sync marker after it.
            if stream.tell() < len(content):
                raise
    except Exception as error:
        # fastavro has no exception class for damaged bytes; they raise anything.
        raise RecoveryError(f"{path}: not a tracker of Flume's: {error!r}") from error
    if offset < 0 or "\0" in file:
        raise RecoveryError(f"{path}: not a tracker of Flume's: offset {offset} of {file!r}")
    return _Tracker(file, offset, changed_ms)


@contextmanager
def _mapped(name: str) -> Iterator[Content]:
    with open(name, "rb") as file:  # noqa: PTH123 - a path as Flume wrote it, which is absolute
        if not os.fstat(file.fileno()).st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
