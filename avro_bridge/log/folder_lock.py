"""Folders and their locks.

A data folder holds numbered logs::

    data/0/   data.mdb lock.mdb writer.lock
    data/1/   ...

so that several bridges can share a volume: each one takes the first folder whose lock is free, or makes the next one.
The lock is an ``flock`` of ``writer.lock``: the kernel releases it when the process ends, however it ends, so there is
no stale lock to clear. It holds on one machine and on network file systems that pass ``flock`` on
(NFS since version 4).
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final, Self

from avro_bridge.errors import LogError, LogLocked

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LOCK_FILE: Final = "writer.lock"


class FolderLock:
    """The right to write the log in ``path``, held until :meth:`release` or the end of the process.

    Raises:
        LogLocked: another writer holds it.
        LogError: the folder cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LogError(
                f"log folder {path}: {error.strerror}: make it a folder that the bridge may write"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise LogLocked(f"log folder {path}: another bridge is writing it; stop that one or use another") from None
        except OSError as error:
            self.release()
            raise LogError(f"log folder {path}: its file system cannot lock files: {error.strerror}") from error

    def release(self) -> None:
        """Give the right up; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def claim_folder(data_folder: Path) -> FolderLock:
    """Take the first numbered log of ``data_folder`` that no other bridge writes; make the next one if none is free.

    Hand the result to ``Log.open``, which takes the lock over.

    Raises:
        LogError: the folder cannot be made or written.
    """
    number = 0
    while True:
        try:
            return FolderLock(data_folder / str(number))
        except LogLocked:
            number += 1


def log_folders(data_folder: Path) -> list[Path]:
    """Return the numbered logs of ``data_folder`` in order; folders with other names are not logs."""
    if not data_folder.is_dir():
        return []
    return sorted((each for each in data_folder.iterdir() if each.name.isdecimal() and each.is_dir()), key=_number)


def _number(folder: Path) -> int:
    return int(folder.name)


def is_locked(folder: Path) -> bool:
    """Return whether a bridge writes the log in ``folder`` now. Changes nothing, also on a read-only volume."""
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a new file is on disk only once the folder that names it is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
