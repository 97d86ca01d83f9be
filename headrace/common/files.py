"""Files that are replaced whole, folders that are synced, locks that the kernel releases.

============================  =======================================================================================
to replace a file             write ``.<name>.<random>`` beside it, sync that, rename it, sync the folder
after a crash in between      the old file or the new one is there, whole; at worst a dot-name is left over
a lock                        ``flock``: held by the open file, so it ends with the process, however that ends
============================  =======================================================================================

A rename is atomic on one file system (POSIX ``rename``), but neither the bytes nor the name are on disk before a sync
of both. Errors come out as :class:`OSError`; each package turns them into its own, with its own advice.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDINARY_MODE = 0o666
"""What ``open`` asks for; the process's umask takes its part away."""
PRIVATE_MODE = 0o600


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a new file is on disk only once the folder that names it is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make a folder with all files and folders below it durable."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            with Path(root, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))


class NewFile:
    """A file that appears under its name whole, or not at all.

    Write to :attr:`file`, then :meth:`publish`. :meth:`close` without it leaves the old content in place.

    Args:
        path: the name that it will have. Its folder must be there.
        mode: permission bits, before the umask.
        durable: wait for the disk. Without it a loss of power may leave an empty file.
    """

    def __init__(self, path: Path, *, mode: int = ORDINARY_MODE, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        # A random name: two threads, or two containers with the same process ids, may write the same file.
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        self.file: IO[bytes] = os.fdopen(descriptor, "wb")

    def publish(self) -> None:
        """Make what was written durable, then visible."""
        # In this order, so that a name never leads to bytes that are not on disk yet.
        self.file.flush()
        if self._durable:
            os.fsync(self.file.fileno())
        self.file.close()
        self._temporary.replace(self._path)
        if self._durable:
            sync_folder(self._path.parent)

    def close(self) -> None:
        """Drop the file, unless it was published."""
        # What could not be flushed is not wanted either: a full disk must not hide the error that led here.
        try:
            self.file.close()
        except OSError:
            pass
        self._temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, *, mode: int = ORDINARY_MODE, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file to write to; when the block ends well, it takes the place of ``path``, else ``path`` stays."""
    new = NewFile(path, mode=mode, durable=durable)
    try:
        yield new.file
        new.publish()
    finally:
        new.close()


def replace_file(path: Path, content: bytes, *, mode: int = ORDINARY_MODE, durable: bool = True) -> None:
    """Replace the content of ``path``, or make it."""
    with replacing(path, mode=mode, durable=durable) as file:
        file.write(content)


def try_lock(file: IO[str] | IO[bytes] | int, *, shared: bool = False) -> bool:
    """Take the lock of an open file without waiting; return whether it is held now.

    The lock belongs to the open file: closing it releases the lock, a child that inherits it keeps it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def waiting_for_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the file ``path``, which is made; wait for whoever holds it."""
    # The file is never deleted: one process would then lock the old file while another locks a new one of that name.
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
