"""The log: stores batches under dense offsets, tracks consumers, and deletes what all of them have committed.

Only the process that holds the folder's lock may have a ``Log``. The changes of a transaction become visible in its
properties after the sync, all at once.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from avro_bridge.contract import MAX_CONSUMER_BYTES
from avro_bridge.errors import BadRequest, LogError, LogFull, RangeAbove
from avro_bridge.log import consumers, metadata, places, retention
from avro_bridge.log.append import Append
from avro_bridge.log.dedup import records
from avro_bridge.log.environment import Environment
from avro_bridge.log.folder_lock import FolderLock
from avro_bridge.log.metadata import Consumer, Metadata
from avro_bridge.log.read_only import LogView
from avro_bridge.log.settings import LogSettings
from headrace.common.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.retention import Deleted

# Room for 2**24 processes with 2**39 connections each, below the sign bit of 64-bit integers.
_CONNECTION_BITS: Final = 39


class Log(LogView):
    """A log for writing and reading. Create it with :meth:`open`. Safe for use by several threads.

    Writing methods return after the sync and exclude each other, so ingest goes through ``GroupCommitWriter``.
    """

    def __init__(self, environment: Environment, settings: LogSettings) -> None:
        super().__init__(environment)
        self.settings = settings
        self._writing = threading.Lock()
        with environment.write("create") as transaction:
            metadata.create(environment, transaction)
            now = metadata.load(environment, transaction)
        # The raised number becomes durable with the first batch; before that, no connection id of this process is on
        # disk either. So a log can be opened and read on a disk that has no room for another byte.
        self._metadata = replace(now, lives=now.lives + 1)
        self._connections = itertools.count(self._metadata.lives << _CONNECTION_BITS)

    @classmethod
    def open(
        cls,
        folder: Path | FolderLock,
        settings: LogSettings | None = None,
        environment_class: type[Environment] = Environment,
    ) -> Log:
        """Open the log in ``folder`` for writing, or create it, and lock it until :meth:`close`.

        ``folder`` may be a lock that is held already, as ``claim_folder`` returns it. Tests pass an environment class
        whose writes fail.

        Raises:
            LogLocked: another bridge is writing it.
            LogVersion: a newer program wrote it, or one that is too old.
            LogError: it cannot be opened; the text says why.
        """
        settings = settings or LogSettings()
        lock = folder if isinstance(folder, FolderLock) else FolderLock(folder)
        try:
            environment = environment_class(lock.path, map_bytes=settings.map_bytes, lock=lock)
        except BaseException:
            lock.release()
            raise
        try:
            log = cls(environment, settings)
            # The files of a new log survive a power cut only once the folders that name them are synced.
            sync_folder(lock.path)
            sync_folder(lock.path.parent)
        except OSError as error:
            environment.close()
            raise LogError(f"log {lock.path}: its folder cannot be synced: {error.strerror}") from error
        except BaseException:
            environment.close()
            raise
        return log

    @staticmethod
    def open_readonly(folder: Path) -> LogView:
        """Open the log in ``folder`` for reading only; a bridge in another process may be writing it.

        Raises:
            LogVersion: a newer program wrote it, or one that is too old.
            LogError: the folder holds no log, or the log cannot be opened.
        """
        environment = Environment(folder, map_bytes=0, lock=None)
        view = LogView(environment)
        try:
            view.metadata()
        except BaseException:
            view.close()
            raise
        return view

    def metadata(self) -> Metadata:
        """Return the metadata as of the last commit, without reading the file."""
        return self._metadata

    @property
    def max_bytes(self) -> int:
        """The cap on ``used_bytes``."""
        return self.settings.max_bytes

    def new_connection_id(self) -> int:
        """Return a number that no connection to this log has had, in this process or an earlier one."""
        return next(self._connections)

    def append(
        self, batches: Sequence[PendingBatch], *, acknowledged_events: int = 0, forget_connections: Iterable[int] = ()
    ) -> list[int | None]:
        """Store all of ``batches`` in one transaction with one sync, or none of them.

        Args:
            batches: in the order of their offsets.
            acknowledged_events: added to the durable counter.
            forget_connections: connections whose newest-batch record is deleted, before ``batches`` are recorded.

        Returns:
            The first offset of each batch, None for one of which nothing had to be stored.

        Raises:
            LogFull: the cap is reached or the disk is full; nothing was stored.
            LogWriteFailed: nothing was stored.
        """
        with self._writing:
            self._refuse_above_cap(batches)
            try:
                return self._append(batches, acknowledged_events, forget_connections)
            except LogFull:
                self._commit_without_batches()
            return self._append(batches, acknowledged_events, forget_connections)

    def _append(
        self, batches: Sequence[PendingBatch], acknowledged_events: int, forget_connections: Iterable[int]
    ) -> list[int | None]:
        environment = self._environment
        size = sum(each.stored_size for each in batches if each.count)
        with environment.write("append", size) as transaction:
            records.delete(environment, transaction, forget_connections)
            group = Append(environment, transaction, self._metadata.next_offset)
            first_offsets = [group.put(batch) for batch in batches]
            places.forget_oldest(environment, transaction, self.settings.max_files)
            now = self._metadata.counted(
                acknowledged_events=acknowledged_events,
                stored_batches=group.batches,
                stored_events=group.next_offset - self._metadata.next_offset,
                stored_bytes=group.payload_bytes,
                deduplicated_events=group.duplicates,
            )
            used_bytes = metadata.used_bytes(environment, transaction)
            now = replace(now, next_offset=group.next_offset, used_bytes=used_bytes)
            metadata.save(environment, transaction, now)
        # After the sync, not before: nobody may see offsets that a failed commit takes back.
        self._metadata = now
        return first_offsets

    def _commit_without_batches(self) -> None:
        """Run one small transaction, so that the next one can reuse the pages freed last.

        LMDB reuses a freed page in the second transaction after the one that freed it. On a full disk only freed pages
        are left; if every transaction failed for want of them, the second one would never come.
        """
        with self._environment.write("pass") as transaction:
            metadata.save(self._environment, transaction, self._metadata)

    def _refuse_above_cap(self, batches: Iterable[PendingBatch]) -> None:
        stored_sizes = (each.stored_size for each in batches if each.count)
        wanted = metadata.growth_bytes(self._environment.page_size, stored_sizes)
        if wanted and self._metadata.used_bytes + wanted > self.max_bytes:
            raise LogFull(
                f"log {self.folder}: {wanted} more bytes do not fit: {self._metadata.used_bytes} of {self.max_bytes} "
                "are used; consumers must commit, or raise max_bytes"
            )

    def start_consumer(self, name: str, position: consumers.Position) -> int:
        """Return the offset at which the consumer started. The first call with a name fixes it; later ones return it.

        From then on retention keeps what the consumer has not committed, unless age or size delete it.

        Raises:
            BadRequest: the name or the position is unusable, or the log has too many consumers.
            RangeBelow: the position is below the first offset that is kept.
            RangeAbove: the position is above the next offset to be stored.
        """
        with self._writing:
            now = self._metadata
            if name in now.consumers:
                return now.consumers[name].start
            consumers.refuse_unusable_name(name, now)
            start = consumers.start_of(position, now)
            self._write_consumer("start_consumer", name, Consumer(start, start))
        return start

    def commit(self, name: str, offset: int) -> int:
        """Store that a consumer needs nothing below ``offset`` any more; return its committed offset.

        Never moves backwards: a smaller offset than before changes nothing.

        Raises:
            BadRequest: the consumer is not known.
            RangeAbove: the offset is above the next one to be stored.
        """
        with self._writing:
            now = self._metadata
            known = now.consumers.get(name)
            if known is None:
                raise BadRequest(f"consumer {name[:MAX_CONSUMER_BYTES]!r} is not known here: start it first")
            if offset > now.next_offset:
                raise RangeAbove(f"offset {offset} is above the next one to be stored, {now.next_offset}")
            if offset <= known.committed:
                return known.committed
            self._write_consumer("commit", name, replace(known, committed=offset))
        return offset

    def _write_consumer(self, label: str, name: str, consumer: Consumer) -> None:
        with self._environment.write(label) as transaction:
            transaction.put(name.encode(), consumer.pack(), db=self._environment.consumers)
        self._metadata = replace(self._metadata, consumers={**self._metadata.consumers, name: consumer})

    def forget(self, name: str) -> bool:
        """Remove a consumer, which then holds nothing back any more. Return whether it was known."""
        with self._writing:
            if name not in self._metadata.consumers:
                return False
            with self._environment.write("forget") as transaction:
                transaction.delete(name.encode(), db=self._environment.consumers)
            others = {key: value for key, value in self._metadata.consumers.items() if key != name}
            self._metadata = replace(self._metadata, consumers=others)
        return True

    def retain(self, now_us: int) -> Deleted:
        """Delete what need not be kept, the oldest first, at most ``retain_batches`` batches; see retention.py.

        Args:
            now_us: microseconds since the epoch.

        Raises:
            LogFull: deleting needs room on the disk too, and nothing is left.
            LogWriteFailed: nothing was deleted.
        """
        with self._writing:
            rule = retention.Rule.of(self.settings, self._metadata.consumers.values(), now_us)
            if not rule.may_delete(self._metadata):
                return retention.Deleted()
            environment, settings = self._environment, self.settings
            with environment.write("retain") as transaction:
                deleted = retention.delete(environment, transaction, self._metadata, rule, settings)
                now = self._metadata.counted(
                    deleted_batches=deleted.batches,
                    deleted_events=deleted.events,
                    dropped_events=deleted.unread_events,
                )
                now = replace(
                    now,
                    first_offset=metadata.first_offset(environment, transaction, now.next_offset),
                    used_bytes=metadata.used_bytes(environment, transaction),
                )
                if deleted.batches:
                    metadata.save(environment, transaction, now)
            self._metadata = now
        return deleted
