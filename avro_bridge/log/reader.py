"""Reads a range of offsets in order, in short read transactions.

While a read transaction is open, LMDB reuses no page that was freed after it began, so a reader that waits in one makes
the file grow. A reader therefore begins a new transaction every 64 batches or 16 MiB, and its user ends the current one
with :meth:`RangeReader.release` before anything slow, such as writing to a socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import lmdb

from avro_bridge.errors import LogDamaged, LogError, RangeBelow
from avro_bridge.log import metadata, record

if TYPE_CHECKING:
    from types import TracebackType

    from avro_bridge.log.environment import Cursor, Environment, Transaction

_BATCHES_PER_TRANSACTION: Final = 64
_BYTES_PER_TRANSACTION: Final = 16 * 2**20
_MISSING: Final = "no stored batch holds them"


class RangeReader:
    """Iterator over the stored batches that hold the offsets ``start <= offset < end``.

    The first and the last batch may reach beyond the range: the caller slices them by event.

    The payload of a batch points into the mapped file and is valid until the next step, :meth:`release` or
    :meth:`close`, whichever comes first. After that it may hold other bytes, and reading them raises no error.

    A step raises:
        LogDamaged: a batch is damaged or missing. The next step continues behind it; so does a new reader that starts
            at the error's ``last + 1``.
        LogVersion: a newer program wrote the batch, or one that is too old.
        RangeBelow: retention has deleted the next batch meanwhile.
        LogClosed: the log was closed.

    Use a reader in one thread at a time, and close it or read it to its end.
    """

    def __init__(self, environment: Environment, start: int, end: int) -> None:
        self._environment = environment
        self._next = start
        self._end = end
        self._open: tuple[Transaction, Cursor] | None = None
        self._payload: memoryview | None = None
        self._batches_left = 0
        self._bytes_left = 0

    @property
    def position(self) -> int:
        """The offset at which the next step begins."""
        return self._next

    def skip_to(self, offset: int) -> None:
        """Continue at ``offset``, unless the reader is beyond it already."""
        self.release()
        self._next = max(self._next, offset)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> record.StoredBatch:
        self._release_payload()
        if self._next >= self._end:
            self.release()
            raise StopIteration
        if self._batches_left <= 0 or self._bytes_left <= 0:
            self.release()
        try:
            return self._step()
        except lmdb.Error as error:
            self.release()
            raise LogError(f"log {self._environment.folder}: its tables are damaged: {error}") from error
        except BaseException:
            self.release()
            raise

    def _step(self) -> record.StoredBatch:
        # The start of the next batch bounds this one. It is read first, and ``_next`` moves before this batch is
        # checked, so that damage is reported once and the next step continues behind it.
        transaction, cursor = self._open or self._begin()
        first, value = record.unpack_key(cursor.key()), cursor.value()
        if cursor.next():
            next_first = record.unpack_key(cursor.key())
        else:
            next_first = metadata.load(self._environment, transaction).next_offset
            # A transaction sees the log as of its begin. Batches that were stored since need a new one.
            self._batches_left = 0
        if first > self._next:
            missing, self._next = self._next, first
            raise LogDamaged(_MISSING, missing, first - 1)
        # ``first + 1``: also past damaged keys each step moves forward, so a reader always comes to an end.
        expected, self._next = self._next, max(next_first, first + 1)
        batch = record.unpack(first, value, next_first)
        if batch.end_offset <= expected:
            raise LogDamaged(_MISSING, expected, next_first - 1)
        if batch.end_offset > next_first:
            text = f"the stored batch announces {batch.count} events, the next one starts at {next_first}"
            raise LogDamaged(text, first, next_first - 1)
        self._next = batch.end_offset
        self._batches_left -= 1
        self._bytes_left -= len(value)
        self._payload = batch.payload
        return batch

    def _begin(self) -> tuple[Transaction, Cursor]:
        """Begin a transaction and place its cursor on the batch that holds, or should hold, the next offset."""
        transaction = self._environment.begin_read()
        cursor = transaction.cursor(self._environment.batches)
        self._open = transaction, cursor
        self._batches_left, self._bytes_left = _BATCHES_PER_TRANSACTION, _BYTES_PER_TRANSACTION
        found = cursor.set_range(record.pack_key(self._next))
        starts_here = found and record.unpack_key(cursor.key()) == self._next
        # No batch starts at the offset, so the one before it holds it.
        if not starts_here and not (cursor.prev() if found else cursor.last()):
            first = metadata.load(self._environment, transaction).first_offset
            raise RangeBelow(f"offset {self._next} was deleted while it was waiting; the log now starts at {first}")
        return transaction, cursor

    def release(self) -> None:
        """End the read transaction, which invalidates the current payload. The next step begins another one."""
        self._release_payload()
        if self._open is not None:
            transaction, cursor = self._open
            self._open = None
            cursor.close()
            self._environment.end_read(transaction)

    def _release_payload(self) -> None:
        """Make later use of the payload an error where possible; while an array uses it, it cannot be released."""
        if self._payload is not None:
            try:
                self._payload.release()
            except BufferError:
                pass
            self._payload = None

    def close(self) -> None:
        """End the reader. It returns no more batches."""
        self._next = self._end
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
