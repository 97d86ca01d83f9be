"""The log: batches under dense offsets, appended in groups, deleted once everyone has them.

``Log`` belongs to the one process that holds the folder's lock. What one of its transactions changes becomes visible
in its properties only after the sync, all of it at once.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from avro_bridge.errors import BadRequest, LogDamaged, LogFull, RangeAbove
from avro_bridge.log import consumers, metadata, record, retention
from avro_bridge.log.dedup import records
from avro_bridge.log.environment import Environment
from avro_bridge.log.folder_lock import FolderLock, sync_folder
from avro_bridge.log.metadata import Consumer, State
from avro_bridge.log.read_only import LogView
from avro_bridge.log.settings import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from avro_bridge.log.environment import Transaction
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.retention import Dropped

# Room for 2**24 lives of 2**39 connections each, below the sign bit of 64-bit integers.
_CONNECTION_BITS: Final = 39


class Log(LogView):
    """A log for writing and reading. Make it with :meth:`open`. Safe for use by several threads.

    Writing methods return after the sync. They wait for each other, so hot paths go through ``GroupCommitWriter``.
    """

    def __init__(self, environment: Environment, settings: LogSettings) -> None:
        super().__init__(environment)
        self.settings = settings
        self._writing = threading.Lock()
        with environment.write("create") as transaction:
            metadata.create(environment, transaction)
            now = metadata.load(environment, transaction)
        # The new life becomes durable with its first batch; until then no connection of it is on disk either. So a log
        # opens, and can be read, on a disk without room for another byte.
        self._state = replace(now, lives=now.lives + 1)
        self._connections = itertools.count(self._state.lives << _CONNECTION_BITS)

    @classmethod
    def open(
        cls,
        folder: Path | FolderLock,
        settings: LogSettings | None = None,
        environment_class: type[Environment] = Environment,
    ) -> Log:
        """Open the log in ``folder`` for writing, make it if there is none, and lock it until :meth:`close`.

        ``folder`` may be a lock that is held already, as ``claim_folder`` gives it. Tests pass an environment that
        breaks.

        Raises:
            LogLocked: another bridge writes it.
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
            sync_folder(lock.path)
            sync_folder(lock.path.parent)
        except BaseException:
            environment.close()
            raise
        return log

    @staticmethod
    def open_readonly(folder: Path) -> LogView:
        """Open the log in ``folder`` for reading only; a bridge in another process may be writing it.

        Raises:
            LogVersion: a newer program wrote it, or one that is too old.
            LogError: it is not there or cannot be opened.
        """
        environment = Environment(folder, map_bytes=0, lock=None)
        view = LogView(environment)
        try:
            view.state()
        except BaseException:
            view.close()
            raise
        return view

    def state(self) -> State:
        """Return the picture as of the last commit, without touching the file."""
        return self._state

    @property
    def max_bytes(self) -> int:
        """The cap on ``used_bytes``."""
        return self.settings.max_bytes

    def new_connection_id(self) -> int:
        """Return a number that no connection of this log has had, in this process or an earlier one."""
        return next(self._connections)

    def append(
        self, batches: Sequence[PendingBatch], *, acknowledged_events: int = 0, settled: Iterable[int] = ()
    ) -> list[int | None]:
        """Store all of ``batches`` in one transaction with one sync, or none of them.

        Also writes down how many events were acknowledged since the last call, and first deletes the doubt records of
        the connections ``settled``.

        Returns:
            The first offset of each batch, None for one of no events.

        Raises:
            LogFull: the cap or the disk is reached; nothing was stored.
            LogWriteFailed: nothing was stored.
        """
        with self._writing:
            self._refuse_above_cap(batches)
            try:
                return self._append(batches, acknowledged_events, settled)
            except LogFull:
                self._let_a_transaction_pass()
            return self._append(batches, acknowledged_events, settled)

    def _append(
        self, batches: Sequence[PendingBatch], acknowledged_events: int, settled: Iterable[int]
    ) -> list[int | None]:
        environment = self._environment
        size = sum(each.stored_size for each in batches if each.count)
        places: list[int | None] = []
        next_offset = self._state.next_offset
        with environment.write("append", size) as transaction:
            records.delete(environment, transaction, settled)
            for batch in batches:
                places.append(next_offset if batch.count else None)
                if batch.count:
                    self._put(transaction, batch, next_offset)
                    next_offset += batch.count
            now = self._state.counted(
                acknowledged_events=acknowledged_events,
                stored_batches=sum(each.count > 0 for each in batches),
                stored_events=next_offset - self._state.next_offset,
                stored_bytes=sum(len(each.buffer) - each.start for each in batches if each.count),
                deduplicated_events=sum(each.duplicates for each in batches),
            )
            now = replace(now, next_offset=next_offset, used_bytes=metadata.used_bytes(environment, transaction))
            metadata.save(environment, transaction, now)
        self._state = now
        return places

    def _let_a_transaction_pass(self) -> None:
        """Make room of what was deleted last.

        LMDB gives a freed page out in the second transaction after the one that freed it. On a full disk freed pages
        are all there is, and while every transaction fails for want of them, no second one would ever come.
        """
        with self._environment.write("pass") as transaction:
            metadata.save(self._environment, transaction, self._state)

    def _put(self, transaction: Transaction, batch: PendingBatch, first_offset: int) -> None:
        with record.pack_in_place(batch, first_offset) as value:
            if not transaction.put(record.pack_key(first_offset), value, db=self._environment.batches, append=True):
                raise LogDamaged("a stored batch lies at or above the next offset", first_offset, first_offset)
        records.put_batch(self._environment, transaction, batch, first_offset)

    def _refuse_above_cap(self, batches: Iterable[PendingBatch]) -> None:
        page_size = self._environment.page_size
        wanted = sum(metadata.footprint(page_size, each.stored_size) for each in batches if each.count)
        if wanted and self._state.used_bytes + wanted > self.max_bytes:
            raise LogFull(
                f"log {self.folder}: {wanted} more bytes do not fit: {self._state.used_bytes} of {self.max_bytes} are "
                "used; consumers must commit, or raise max_bytes"
            )

    def start_consumer(self, name: str, position: consumers.Position) -> int:
        """Return the offset at which the consumer began; the first call of a name decides it, for good.

        From then on nothing is deleted that the consumer has not committed (unless age or size say otherwise).

        Raises:
            BadRequest: the name or the position is unusable, or there are too many consumers.
            RangeBelow: the position is below what is kept.
            RangeAbove: the position is above the next offset.
        """
        with self._writing:
            now = self._state
            if name in now.consumers:
                return now.consumers[name].start
            consumers.refuse_unusable_name(name, now)
            start = consumers.start_of(position, now)
            self._write_consumer("start_consumer", name, Consumer(start, start))
        return start

    def commit(self, name: str, offset: int) -> int:
        """Note that a consumer needs nothing below ``offset`` any more; return its committed offset.

        Never moves backwards: a smaller offset than before changes nothing.

        Raises:
            BadRequest: the consumer is not known.
            RangeAbove: the offset is above the next one to be stored.
        """
        with self._writing:
            now = self._state
            known = now.consumers.get(name)
            if known is None:
                raise BadRequest(f"consumer {name[: consumers.MAX_NAME_BYTES]!r} is not known here: start it first")
            if offset > now.next_offset:
                raise RangeAbove(f"offset {offset} is above the next one to be stored, {now.next_offset}")
            if offset <= known.committed:
                return known.committed
            self._write_consumer("commit", name, replace(known, committed=offset))
        return offset

    def _write_consumer(self, label: str, name: str, consumer: Consumer) -> None:
        with self._environment.write(label) as transaction:
            transaction.put(name.encode(), consumer.pack(), db=self._environment.consumers)
        self._state = replace(self._state, consumers={**self._state.consumers, name: consumer})

    def forget(self, name: str) -> bool:
        """Let a consumer go: it holds nothing back any more. Return whether it was known."""
        with self._writing:
            if name not in self._state.consumers:
                return False
            with self._environment.write("forget") as transaction:
                transaction.delete(name.encode(), db=self._environment.consumers)
            others = {key: value for key, value in self._state.consumers.items() if key != name}
            self._state = replace(self._state, consumers=others)
        return True

    def retain(self, now_us: int) -> Dropped:
        """Delete, oldest first, what need not be kept, at most ``retain_batches`` of it; see retention.py.

        ``now_us`` is the time in microseconds since the epoch.

        Raises:
            LogFull: even deleting needs room, and there is none.
            LogWriteFailed: nothing was deleted.
        """
        with self._writing:
            rule = retention.Rule.of(self.settings, self._state.consumers.values(), now_us)
            if not rule.may_delete(self._state):
                return retention.Dropped()
            environment, settings = self._environment, self.settings
            with environment.write("retain") as transaction:
                dropped = retention.delete(environment, transaction, self._state, rule, settings)
                now = self._state.counted(
                    deleted_batches=dropped.batches,
                    deleted_events=dropped.events,
                    dropped_events=dropped.unread_events,
                )
                now = replace(
                    now,
                    first_offset=metadata.first_offset(environment, transaction, now.next_offset),
                    used_bytes=metadata.used_bytes(environment, transaction),
                )
                if dropped.batches:
                    metadata.save(environment, transaction, now)
            self._state = now
        return dropped
