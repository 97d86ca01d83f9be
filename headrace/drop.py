"""Hands files over to the agent in a way that avoids the traps of Flume's spooling source.

The source stops for ever when a file changes after the source has first seen it, or when a name is used twice. It
cannot read compressed files. It may read a file that is still being written. So a hand-over has three steps:

    1. copy into ``<spool>/.headrace-<random>.part``     dot-names are never read; same file system, so 3 is atomic
    2. fsync the copy                                    a crash now leaves only a dot-name, which is removed later
    3. rename to ``<UTC time>-<sequence>-<random>-<base name>``, fsync the folder         now the agent reads it

The agent reads the file with the oldest modification time first, and uses the name where times are equal. The
modification times of one call increase strictly, so the agent reads the files in the order given. Compressed files are
unpacked into the copy, with a limit on the unpacked size. The original file is only read.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Protocol

from headrace.common.files import sync_folder
from headrace.errors import ArchiveDamaged, DropError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

CHUNK_BYTES = 1 << 20
PART_SUFFIX = ".part"
PART_PREFIX = ".headrace-"
PART_LIFETIME_S = 24 * 3600.0
"""A dot-name that was not written to for so long is left over from a crash."""

MAX_RATIO = 1000
FREE_BYTES = 64 << 20
"""A file that unpacks to more than ``MAX_RATIO`` times its size, and to more than ``FREE_BYTES``, was made to fill the
disk. Access logs reach 10 to 30 times; the limit of deflate itself is 1,032 times (zlib's technical notes)."""

RESERVE_BYTES = 64 << 20
"""Free space that a hand-over leaves on the spool folder's file system."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_COMPRESSED_SUFFIX = re.compile(r"(\.gz|\.zst|\.COMPLETED)+$", re.IGNORECASE)


@dataclass(frozen=True)
class Dropped:
    """One file that was handed over.

    Attributes:
        source: the original.
        target: its new name; None for an empty file. That is not handed over, because the agent would make an event
            of it.
        lines: counted as Flume does: each newline ends one, and a last piece without a newline is one.
        size_bytes: unpacked size.
    """

    source: Path
    target: Path | None
    lines: int
    size_bytes: int

    @property
    def outcome(self) -> str:
        """One sentence for the user."""
        if self.target is None:
            return f"{self.source}: empty, not handed over"
        return f"{self.source}: {self.lines:,} lines handed over as {self.target.name}"


class Progress(Protocol):
    """A function that gets the progress of the copy."""

    def __call__(self, source: Path, read_bytes: int) -> None:
        """Take that ``read_bytes`` more bytes were read from ``source``."""


def no_progress(source: Path, read_bytes: int) -> None:
    """Ignore the progress."""


def check_sources(sources: Iterable[Path]) -> None:
    """Refuse files that cannot be handed over.

    Raises:
        UsageError: a file is missing, a folder, or not readable.
    """
    for source in sources:
        if not source.exists():
            raise UsageError(f"{source}: no such file")
        if source.is_dir():
            raise UsageError(f"{source} is a folder: name the files in it, for example {source}/*.log")
        if not source.is_file():
            raise UsageError(f"{source} is not a regular file: copy its content into a file first")
        if not os.access(source, os.R_OK):
            raise UsageError(f"{source} cannot be read by this user")


def drop(
    sources: Sequence[Path],
    spool: Path,
    progress: Progress = no_progress,
    clock: Callable[[], float] = time.time,
) -> list[Dropped]:
    """Hand ``sources`` over in this order: copy and unpack all of them, then rename one after the other.

    If one of them is damaged, none is handed over. Several processes may call this at once.

    Raises:
        UsageError: a source cannot be used.
        DropError: a copy failed; nothing was handed over.
        ArchiveDamaged: a compressed file is damaged; nothing was handed over.
    """
    check_sources(sources)
    parts: list[tuple[Path, Dropped]] = []
    try:
        spool.mkdir(parents=True, exist_ok=True)
        remove_left_overs(spool, clock())
        for source in sources:
            part = spool / f"{PART_PREFIX}{secrets.token_hex(8)}{PART_SUFFIX}"
            parts.append((part, Dropped(source, None, 0, 0)))
            parts[-1] = (part, _copy(source, part, progress))
        return _hand_over(parts, spool, clock())
    except OSError as error:
        message = f"cannot write into the spool folder {spool}: {error.strerror}; nothing was handed over"
        raise DropError(message) from error
    finally:
        _remove(part for part, _ in parts)


def remove_left_overs(spool: Path, now: float) -> list[Path]:
    """Remove the dot-names of crashed hand-overs; return them. Recently written ones belong to a running hand-over."""
    removed = []
    for part in spool.glob(f"{PART_PREFIX}*{PART_SUFFIX}"):
        try:
            if now - part.stat().st_mtime > PART_LIFETIME_S:
                part.unlink()
                removed.append(part)
        except FileNotFoundError:
            continue
    return removed


def safe_name(source: Path) -> str:
    """Return the base name for the spool folder: plain characters, at most 120, no suffix of a compressed file."""
    name = _UNSAFE.sub("_", source.name)
    return _COMPRESSED_SUFFIX.sub("", name).lstrip(".")[-120:] or "file"


def _copy(source: Path, part: Path, progress: Progress) -> Dropped:
    """Copy ``source`` to ``part``, unpack it, sync it and count its lines."""
    size = lines = 0
    last = b"\n"
    with source.open("rb") as original, part.open("xb") as copy:
        for chunk in _unpacked(source, _with_progress(original, source, progress)):
            if shutil.disk_usage(part.parent).free < RESERVE_BYTES + len(chunk):
                raise DropError(f"no room for {source} in {part.parent}: free some space; nothing was handed over")
            copy.write(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
        copy.flush()
        os.fsync(copy.fileno())
    return Dropped(source, part if size else None, lines + (last != b"\n"), size)


def _hand_over(parts: Sequence[tuple[Path, Dropped]], spool: Path, now: float) -> list[Dropped]:
    """Rename the copies to their final names, with strictly increasing modification times."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    unique = secrets.token_hex(4)
    dropped = []
    # The agent compares whole milliseconds. The last file gets the current time and the others earlier ones, so that
    # the files of a later call are newer than all of these.
    newest_ms = int(now * 1000)
    for number, (part, copied) in enumerate(parts):
        if copied.target is None:
            dropped.append(copied)
            continue
        modified_ms = newest_ms - (len(parts) - 1 - number)
        os.utime(part, ns=(modified_ms * 1_000_000, modified_ms * 1_000_000))
        target = spool / f"{stamp}-{number:04d}-{unique}-{safe_name(copied.source)}"
        part.rename(target)
        dropped.append(Dropped(copied.source, target, copied.lines, copied.size_bytes))
    sync_folder(spool)
    return dropped


def _with_progress(original: BinaryIO, source: Path, progress: Progress) -> Iterator[bytes]:
    while chunk := original.read(CHUNK_BYTES):
        progress(source, len(chunk))
        yield chunk


def _unpacked(source: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of ``source``, unpacked if its suffix is that of a compressed file."""
    suffix = source.suffix.lower()
    if suffix == ".gz":
        return _bounded(source, _gunzip(source, chunks))
    if suffix == ".zst":
        return _bounded(source, _unzstd(source, chunks))
    return chunks


def _bounded(source: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    bound = max(source.stat().st_size * MAX_RATIO, FREE_BYTES)
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > bound:
            raise ArchiveDamaged(f"{source} unpacks to more than {MAX_RATIO} times its size: it is not an access log")
        if chunk:
            yield chunk


def _gunzip(source: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, also several members in a row, as ``cat a.gz b.gz`` makes them."""
    # 31 = 16 (gzip header and checksum) + 15 (the largest window); zlib manual, inflateInit2.
    member = zlib.decompressobj(wbits=31)
    complete = True
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                if complete and not rest.strip(b"\0"):
                    # Copies from tapes and block devices end in zeros after the last member. gzip ignores these too.
                    break
                complete = False
                yield member.decompress(rest, CHUNK_BYTES)
                rest = member.unconsumed_tail or member.unused_data
                if member.eof:
                    member, complete = zlib.decompressobj(wbits=31), True
    except zlib.error as error:
        raise ArchiveDamaged(f"{source} is not a sound gzip file ({error}); nothing was handed over") from error
    if not complete:
        raise ArchiveDamaged(f"{source} ends in the middle: it is cut short; nothing was handed over")


def _unzstd(source: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack Zstandard, also several frames in a row."""
    import zstandard

    # The window is bounded, so that a hostile header cannot demand gigabytes. `zstd --long` makes 128 MiB.
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame = unpacker.decompressobj()
    complete = True
    try:
        for chunk in chunks:
            # One input byte may become very many output bytes: small input pieces keep each output piece small.
            for start in range(0, len(chunk), 4096):
                rest = chunk[start : start + 4096]
                while rest:
                    complete = False
                    yield frame.decompress(rest)
                    rest = frame.unused_data if frame.eof else b""
                    if frame.eof:
                        frame, complete = unpacker.decompressobj(), True
    except zstandard.ZstdError as error:
        raise ArchiveDamaged(f"{source} is not a sound Zstandard file ({error}); nothing was handed over") from error
    if not complete:
        raise ArchiveDamaged(f"{source} ends in the middle: it is cut short; nothing was handed over")


def _remove(parts: Iterable[Path]) -> None:
    for part in parts:
        part.unlink(missing_ok=True)
