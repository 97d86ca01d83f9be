"""Makes the spooling source go on exactly behind what a killed agent has put into its file channel.

For each batch of lines Flume does, one after the other::

    1  read the lines, stamp them with the time, put them into the channel
    2  commit them there: synced to disk, they will be sent
    3  note in the tracker how far the file was read

An agent that is killed between 2 and 3 would read the batch again when it is started, and send its lines twice, under
new ids. At most one batch can be in that state, the newest one committed. So before an agent starts on a file channel,
that batch is compared with what follows in the file that the tracker names, and where it is just that, step 3 is done.

=====================================  =====================================  =======================================
the batch is what follows the tracker  the batch is what precedes it          done
=====================================  =====================================  =======================================
no                                     (does not matter)                      nothing: 3 was done, or 2 was not
yes                                    no                                     3
yes                                    yes: the file repeats itself           3, if the tracker is older than the
                                                                              time with which the batch was stamped
=====================================  =====================================  =======================================

A tracker clearly newer than the stamp decides alone: a file may begin like the end of an earlier one of its name.

The tracker is an Avro file with the path of the file that is read in its metadata and one block for each batch; its
last record counts. It is empty until the first batch of a file is noted; then the header ``basename`` of the batch says
which file that is. Flume goes on with the last whole block, and from the start with an empty tracker. Source:
``org.apache.flume.serialization.DurablePositionTracker`` of Flume 1.11.0, and what a killed agent left
(tests/flume/agent/test_recovery.py).
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
"""Times of files are those of the kernel's last tick, and stamps are cut to milliseconds."""


@dataclass(frozen=True)
class Lines:
    """How Flume cuts a file into lines: spool.charset and spool.max_line_chars."""

    charset: str
    max_chars: int


@dataclass(frozen=True)
class Recovered:
    """What was noted for a killed agent."""

    file: str
    lines: int
    offset: int


@dataclass(frozen=True)
class _Tracker:
    file: str | None
    """None while it is empty."""
    offset: int
    changed_ms: float


def note_what_was_read(spool_folder: Path, channel_folder: Path, lines: Lines) -> Recovered | None:
    """Note a batch that a killed agent committed and did not note; None if there was none. No agent may be running.

    Raises:
        RecoveryError: the tracker or the channel cannot be read, or the tracker not be written. The agent can be
            started all the same; in the worst case it sends one batch twice.
    """
    path = spool_folder / TRACKER
    try:
        codecs.lookup(lines.charset)
    except LookupError:
        raise RecoveryError(f"lines in {lines.charset} cannot be compared: Python does not know it") from None
    try:
        tracker = _read_tracker(path)
        if tracker is None:
            return None
        batch = newest_puts(channel_folder / "data")
        file = tracker.file or _file_of(batch, spool_folder)
        if not batch or file is None:
            return None
        with _mapped(file) as content:
            end = end_of_batch(content, tracker.offset, batch, lines)
            if end is None or not _is_unnoted(content, tracker, batch, lines):
                return None
        _write_tracker(path, file, end)
    except FileNotFoundError:
        # The file was read to its end and retired.
        return None
    except OSError as error:
        raise RecoveryError(f"{error.filename or path}: {error.strerror or error}") from error
    return Recovered(file, len(batch), end)


def _file_of(batch: Sequence[Put], spool_folder: Path) -> str | None:
    """Return the path of the file from which a batch was read, as Flume writes it; None if its events do not say."""
    name = batch[0].headers.get(BASENAME_HEADER) if batch else None
    return str(spool_folder / name) if name else None


def _write_tracker(path: Path, file: str, offset: int) -> None:
    """Put a tracker with one record in place of the present one, which stays whole if that fails."""
    new = path.with_name(path.name + ".new")
    try:
        with new.open("wb") as target:
            fastavro.writer(target, SCHEMA, [{"offset": offset}], metadata={"file": file})
            target.flush()
            os.fsync(target.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def end_of_batch(content: Content, offset: int, batch: Sequence[Put], lines: Lines) -> int | None:
    """Return where a batch ends in a file when its first line starts at ``offset``; None if it is not what is there."""
    position = offset
    for put in batch:
        end = _end_of_line(content, position, put.body, lines)
        if end is None:
            return None
        position = end
    return position


def _end_of_line(content: Content, start: int, body: bytes, lines: Lines) -> int | None:
    """Return where the line with this body ends, its line feed included; None if another line is there."""
    if start >= len(content):
        return None
    # No character takes more than four bytes.
    bound = min(len(content), start + 4 * lines.max_chars + 4)
    line_feed = content.find(b"\n", start, bound)
    text = content[start : bound if line_feed < 0 else line_feed].decode(lines.charset, "replace")
    if len(_utf_16(text)) // 2 < lines.max_chars:
        end = bound if line_feed < 0 else line_feed + 1
        return end if _plain(text) == _plain(body.decode(errors="replace")) else None
    # A line of the greatest length is cut there, and its line feed is left for the next one.
    piece = _utf_16(text)[: 2 * lines.max_chars].decode("utf-16-le", "replace")
    raw = piece.encode(lines.charset, "replace")
    return start + len(raw) if piece.encode() == body and content[start : start + len(raw)] == raw else None


def _utf_16(text: str) -> bytes:
    """Return the text as Java counts its characters: two bytes for each."""
    return text.encode("utf-16-le", "surrogatepass")


def _plain(text: str) -> str:
    """Return the text without replacement characters: Java and Python put different numbers of them for bad bytes."""
    return text.replace("\ufffd", "")


def _is_unnoted(content: Content, tracker: _Tracker, batch: Sequence[Put], lines: Lines) -> bool:
    """Whether a batch that does follow the tracker is not the one that was noted last."""
    stamps = [put.headers.get(TIMESTAMP_HEADER, "") for put in batch]
    if all(stamp.isascii() and stamp.isdigit() for stamp in stamps):
        age_ms = max(map(int, stamps)) - tracker.changed_ms
        if abs(age_ms) > CLOCK_MARGIN_MS:
            return age_ms > 0
    start = tracker.offset - sum(len(put.body) + 1 for put in batch)
    return start < 0 or end_of_batch(content, start, batch, lines) != tracker.offset


def _read_tracker(path: Path) -> _Tracker | None:
    """Return what the tracker says; None if there is none: nothing was being read."""
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
            # A disk that was full may have cut the last block off, in its record or in the marker behind it.
            if stream.tell() < len(content):
                raise
    except Exception as error:
        # fastavro has no exceptions of its own: damaged bytes come out as whatever they stumble over.
        raise RecoveryError(f"{path}: not a tracker of Flume's: {error!r}") from error
    if offset < 0 or "\0" in file:
        raise RecoveryError(f"{path}: not a tracker of Flume's: offset {offset} of {file!r}")
    return _Tracker(file, offset, changed_ms)


@contextmanager
def _mapped(name: str) -> Iterator[Content]:
    with open(name, "rb") as file:  # noqa: PTH123 - a text of Flume's, which is absolute
        if not os.fstat(file.fileno()).st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
