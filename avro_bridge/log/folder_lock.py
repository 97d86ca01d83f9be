"""Folder locks: which process may write which log.

A data folder holds numbered logs::

    data/0/   data.mdb lock.mdb writer.lock
    data/1/   ...

so that several bridges can share a volume: each takes the first folder whose lock is free, or creates the next one. The
lock is an ``flock`` of ``writer.lock``. The kernel releases it when the process ends, however it ends, so no stale lock
can remain. It works on one machine and on network file systems that support ``flock`` (NFS since version 4).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from avro_bridge.errors import LogError, LogLocked
from headrace.common.files import try_lock

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LOCK_FILE: Final = "writer.lock"


class FolderLock:
    """The right to write the log in ``path``, until :meth:`release` or the end of the process.

    Raises:
        LogLocked: another writer holds it.
        LogError: the folder cannot be created or written, or its file system has no locks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            # O_CLOEXEC: a child that inherited the lock would hold it after the bridge has ended.
            self._fd = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LogError(
                f"log folder {path}: {error.strerror}: make it a folder that the bridge may write"
            ) from error
        try:
            is_held = try_lock(self._fd)
        except OSError as error:
            self.release()
            raise LogError(f"log folder {path}: its file system cannot lock files: {error.strerror}") from error
        if not is_held:
            self.release()
            raise LogLocked(f"log folder {path}: another bridge is writing it; stop that one or use another folder")

    def release(self) -> None:
        """Release the lock. A second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def claim_folder(data_folder: Path) -> FolderLock:
    """Lock the first numbered log of ``data_folder`` that no other bridge writes; create the next one if none is free.

    Pass the result to ``Log.open``, which takes over the lock.

    Raises:
        LogError: the folder cannot be created or written.
    """
    number = 0
    while True:
        try:
            return FolderLock(data_folder / str(number))
        except LogLocked:
            number += 1


def log_folders(data_folder: Path) -> list[Path]:
    """Return the numbered logs of ``data_folder`` in the order of their numbers; other folders are not logs."""
    if not data_folder.is_dir():
        return []
    return sorted((each for each in data_folder.iterdir() if each.name.isdecimal() and each.is_dir()), key=_number)


def _number(folder: Path) -> int:
    return int(folder.name)


def is_locked(folder: Path) -> bool:
    """Return whether a bridge writes the log in ``folder`` now. Works on a read-only volume and changes nothing."""
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two tools which look at the same time do not take each other for a bridge.
        return not try_lock(fd, shared=True)
    except OSError:
        # A file system without locks cannot tell. Assume a writer: the caller then leaves the file alone.
        return True
    finally:
        os.close(fd)
