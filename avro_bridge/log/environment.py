"""The LMDB environment of a log: labelled write transactions, counted readers, and LMDB's errors as the bridge's.

Every write transaction has a label. It is the context in an error's text, and tests use it to let one write fail. The
tables of one environment::

    batches     first offset (8 bytes, big-endian)   header and payload, see record.py
    meta        name                                 format, log_id, state, see metadata.py
    consumers   name (UTF-8)                         first and committed offset, see metadata.py
    doubts      connection id (8 bytes, big-endian)  its newest batch, see dedup/records.py
    places      file id; file id and position        which bytes of which file are stored, see places.py
    files       offset (8 bytes, big-endian)         file id, see places.py

How LMDB is used, and why:

- Every commit is synced: first the data, then the page that makes it visible. A commit that fails leaves no trace.
- No writable map: a full disk would reach such a map as SIGBUS and kill the process, where ``pwrite`` returns an error.
- With read-ahead: a backlog is read in order. Without it, each page that is not in memory any more costs one request to
  the disk: 284 MB took 5.2 s, and 0.5 s with it.
- A read transaction keeps every page alive that was freed after it began, so readers are short (see reader.py).
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import lmdb

from avro_bridge.errors import LogClosed, LogError, LogFull, LogWriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TypeAlias

    from avro_bridge.log.folder_lock import FolderLock

    Transaction: TypeAlias = lmdb.Transaction[memoryview]
    Cursor: TypeAlias = lmdb.Cursor[memoryview]

DATA_FILE: Final = "data.mdb"
_LOCK_FILE: Final = "lock.mdb"
_MAX_READERS: Final = 512
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Environment:
    """An open LMDB environment.

    ``close`` ends writing at once, but the mapping stays until the last reader is done: memory that a reader looks at
    is never unmapped. The folder's lock is released with the mapping, since LMDB forbids a process to open the same
    files twice.

    Raises:
        LogError: the files are not a log, are cut short, or cannot be opened.
    """

    def __init__(self, folder: Path, *, map_bytes: int, lock: FolderLock | None) -> None:
        self.folder = folder
        self._lock = lock
        self._mutex = threading.Lock()
        self._readers = 0
        self._closed = False
        # Whoever holds the folder's lock may write; everybody else opens the files read-only.
        readonly = lock is None
        try:
            self._lmdb = lmdb.open(
                str(folder),
                map_size=map_bytes,
                max_dbs=8,
                max_readers=_MAX_READERS,
                readonly=readonly,
                create=not readonly,
                mode=0o644,
                # On a read-only volume a reader cannot register itself, and no writer can reuse the pages it reads.
                lock=not readonly or os.access(folder / _LOCK_FILE, os.W_OK),
                meminit=False,
            )
        except (lmdb.Error, OSError) as error:
            raise LogError(f"log {folder}: cannot be opened: {error}") from error
        try:
            self._refuse_cut_file()
            # A killed reader still occupies its slot, which keeps all pages alive that were freed since.
            self.stale_readers = 0 if readonly else self._lmdb.reader_check()
            self.page_size = self._lmdb.stat()["psize"]
            # The last table keeps the name that it had first: existing logs hold it.
            self.batches, self.meta, self.consumers, self.newest_batches = (
                self._lmdb.open_db(name, create=not readonly) for name in (b"batches", b"meta", b"consumers", b"doubts")
            )
            self.places, self.files = (self._new_table(name, create=not readonly) for name in (b"places", b"files"))
        except lmdb.Error as error:
            self._lmdb.close()
            raise LogError(f"log {folder}: this is not a log, or its tables are damaged: {error}") from error
        except LogError:
            self._lmdb.close()
            raise

    def _new_table(self, name: bytes, *, create: bool) -> lmdb._Database | None:
        """Open a table that logs of format version 1 lack; to read one of those, nothing is found in None."""
        try:
            return self._lmdb.open_db(name, create=create)
        except lmdb.NotFoundError:
            return None

    def _refuse_cut_file(self) -> None:
        """Refuse a file that ends before its last page: reading there would end the process with SIGBUS."""
        needed = (self._lmdb.info()["last_pgno"] + 1) * self._lmdb.stat()["psize"]
        # Only up to the last page in use: pages behind it may have been freed before they were ever written.
        found = (self.folder / DATA_FILE).stat().st_size
        if found < needed:
            raise LogError(
                f"log {self.folder}: {DATA_FILE} has {found} bytes and should have {needed}: it was cut short, for "
                "example by an unfinished copy; restore it from a whole copy"
            )

    @contextmanager
    def write(self, label: str, wanted_bytes: int = 0) -> Iterator[Transaction]:
        """Run the body in one write transaction, which is committed and synced afterwards, or leaves no trace.

        ``wanted_bytes`` is about how much the body adds. It only helps to tell a full disk from a broken one.

        Raises:
            LogClosed: the environment is closed.
            LogFull: the map or the disk has no room.
            LogWriteFailed: the write or the sync failed for another reason.
        """
        if self._closed:
            raise LogClosed(f"log {self.folder}: {label}: the log is closed")
        try:
            with self._lmdb.begin(write=True, buffers=True) as transaction:
                yield transaction
                self.before_commit(label)
        except lmdb.Error as error:
            raise self._write_error(label, error, wanted_bytes) from error

    def before_commit(self, label: str) -> None:
        """Do nothing. Tests override this to let a write fail."""

    def _write_error(self, label: str, error: lmdb.Error, wanted_bytes: int) -> LogError:
        code = getattr(error, "code", 0)
        text = f"log {self.folder}: {label}: {error}"
        if isinstance(error, lmdb.MapFullError):
            return LogFull(f"{text}: the file has reached its largest size; consumers must commit, or raise max_bytes")
        free = shutil.disk_usage(self.folder).free
        # A disk that fills up mostly takes the last write in part, which LMDB reports as EIO.
        if code in _NO_ROOM or (code == errno.EIO and free < wanted_bytes):
            return LogFull(f"{text}: {free} bytes are free on the disk, {wanted_bytes} are needed: make room")
        if isinstance(error, lmdb.PanicError):
            return LogWriteFailed(f"{text}: an earlier write left the log unusable; restart the bridge")
        return LogWriteFailed(text)

    def begin_read(self) -> Transaction:
        """Begin a read transaction. Pass it to :meth:`end_read` soon.

        Raises:
            LogClosed: the environment is closed.
            LogError: all of LMDB's reader slots are in use, or the file is damaged.
        """
        with self._mutex:
            if self._closed:
                raise LogClosed(f"log {self.folder}: the log is closed")
            try:
                transaction = self._lmdb.begin(buffers=True)
            except lmdb.Error as error:
                raise LogError(f"log {self.folder}: cannot be read: {error}") from error
            self._readers += 1
        return transaction

    def end_read(self, transaction: Transaction) -> None:
        """End a read transaction. Memory that was read in it must not be used any more."""
        transaction.abort()
        with self._mutex:
            self._readers -= 1
            # The last reader after ``close`` unmaps the file: nobody's memory disappears while it is read.
            if self._closed and not self._readers:
                self._unmap()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Run the body in one read transaction."""
        transaction = self.begin_read()
        try:
            yield transaction
        except lmdb.Error as error:
            raise LogError(f"log {self.folder}: its tables are damaged: {error}") from error
        finally:
            self.end_read(transaction)

    def close(self) -> None:
        """Refuse new transactions; unmap once the last reader is done. A second call does nothing."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                if not self._readers:
                    self._unmap()

    def _unmap(self) -> None:
        self._lmdb.close()
        if self._lock is not None:
            self._lock.release()
