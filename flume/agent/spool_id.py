"""The ids of the spool folder and of its files, which with a position name a line for ever.

===========  ==========================================================================================================
spool id     32 random hex characters in ``.headrace-spool-id`` of the spool folder. It moves with the folder.
digest       the first 32 hex characters of SHA-256 over: base name, NUL, size, NUL, time of modification in whole
             milliseconds, NUL, the first min(4096, size) bytes, the last min(4096, size) bytes
file id      ``<spool id>-<digest>``
===========  ==========================================================================================================

The agent computes the same file ids in Java (flume/jars/java/headrace/PlaceInterceptor.java): whoever wants to ask a
bridge what it has of a file needs the same id.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from flume.errors import AgentError
from headrace.common.files import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

# The source does not read names that begin with a dot.
SPOOL_ID_FILE: Final = ".headrace-spool-id"
EDGE_BYTES: Final = 4096
_CONTENT: Final = re.compile(rb"[0-9a-f]{32}\n")
_ID_BYTES: Final = 16


def spool_id(folder: Path) -> str:
    """Return the id of a spool folder; make it, durably, if the folder has none.

    Several processes may call this at once: all get the id of the one that was first.

    Raises:
        AgentError: the file cannot be made or read, or holds something else. It is never replaced: files that are
            shipped in part would become new files, and their lines would be counted twice.
    """
    path = folder / SPOOL_ID_FILE
    try:
        if not path.exists():
            _make(path)
        content = path.read_bytes()
    except OSError as error:
        raise AgentError(
            f"{error.filename or path}: the spool folder's id cannot be made or read: {error.strerror}"
        ) from error
    if not _CONTENT.fullmatch(content):
        raise AgentError(
            f"{path}: not a spool id, which is a line of 32 lower-case hex characters. Restore the file. Without a "
            "copy of it, delete it and start again: files that are shipped in part then count as new files, whose "
            "lines are counted again"
        )
    return content[:-1].decode()


def file_id(spool_id: str, path: Path) -> str:
    """Return the file id of a finished file in a spool folder with this id.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        # The name's bytes are those of the file system: for a name that is UTF-8, its UTF-8.
        head = b"%b\0%d\0%d\0" % (os.fsencode(path.name), status.st_size, status.st_mtime_ns // 1_000_000)
        edge = min(EDGE_BYTES, status.st_size)
        first = os.pread(file.fileno(), edge, 0)
        last = os.pread(file.fileno(), edge, status.st_size - edge)
    return f"{spool_id}-{hashlib.sha256(head + first + last).hexdigest()[:32]}"


def _make(path: Path) -> None:
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        try:
            os.write(descriptor, secrets.token_hex(_ID_BYTES).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # A link, unlike a rename, never replaces the file of a process that was faster.
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
