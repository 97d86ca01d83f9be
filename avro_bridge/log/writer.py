"""Group commit: one thread writes, so that many batches share one sync.

::

    ingest threads          writer thread
    --------------          -------------------------------------------------------------------------
    submit(batch, done) --> queue --> all that wait, up to max_group_bytes
                                      --> leave out what is stored already (only while something is in doubt)
                                      --> one transaction, one sync
                                      --> done(offset, None) of each, then after_group once
    commit(), retain()  --> queue --> between two groups

The order of the queue is kept: a lost connection is looked at after the batches that came before it are stored.

When a group does not fit (cap or disk), retention runs once; if that freed nothing, the batches are tried one by one,
so that a small one still gets in where a large one does not, and those at least as large as one that failed are
refused without trying. When a write fails otherwise every batch of the group gets the error. Either way nothing of a
batch that got an error is in the log.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from avro_bridge.errors import BridgeError, LogClosed, LogError, LogFull, LogWriteFailed
from avro_bridge.log.callbacks import Done, Waiting, WriterHooks
from avro_bridge.log.dedup.suspects import Doubts
from avro_bridge.log.group_commit import GroupStore
from avro_bridge.log.settings import WriterSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from avro_bridge.log.consumers import Position
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch

T = TypeVar("T")


class GroupCommitWriter:
    """Owns the writing of a log. All methods may be called from any thread, except from within a callback: close."""

    def __init__(
        self,
        log: Log,
        settings: WriterSettings | None = None,
        hooks: WriterHooks | None = None,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._log = log
        self._settings = settings or WriterSettings()
        self._hooks = hooks or WriterHooks()
        self._clock_us = clock_us
        self._doubts = Doubts(log)
        self._store = GroupStore(log, self._doubts, self._hooks, self._answer, self._retain)
        self._changed = threading.Condition()
        self._queue: deque[Waiting | Callable[[], None]] = deque()
        self._unanswered: list[Waiting] = []
        """Taken from the queue by the writer thread and not answered yet."""
        self._queued_bytes = 0
        self._over = False
        self._closing = False
        self._broken: LogError | None = None
        self._upkeep_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    # -- from any thread

    def submit(self, batch: PendingBatch, done: Done) -> None:
        """Queue a batch; ``done`` is called exactly once, after it is on disk or refused.

        Returns at once. ``done`` runs on the calling thread when the batch is refused right away: the writer is
        closed, or twice ``max_queued_bytes`` wait already.
        """
        size = batch.stored_size
        with self._changed:
            refused = self._refusal(size)
            if refused is None:
                self._queue.append(Waiting(batch, done, size))
                self._queued_bytes += size
                self._over = self._over or self._queued_bytes > self._settings.max_queued_bytes
                self._changed.notify()
        if refused is not None:
            done(None, refused)

    def _refusal(self, size: int) -> LogError | None:
        if self._broken is not None or self._closing:
            return self._broken or LogClosed("the log's writer is closed")
        bound = 2 * self._settings.max_queued_bytes
        if self._queued_bytes and self._queued_bytes + size > bound:
            return LogFull(f"{self._queued_bytes} bytes wait to be stored, more than {bound} are not taken: send later")
        return None

    @property
    def has_room(self) -> bool:
        """Whether the queue is below its bound; ``has_room_again`` is called when it falls below half of it."""
        return not self._over

    @property
    def queued_bytes(self) -> int:
        """Bytes of batches that have no answer yet."""
        return self._queued_bytes

    @property
    def broken(self) -> BridgeError | None:
        """Why the writer has stopped for good; None while it works. Restart the process when it has."""
        return self._broken

    @property
    def suspects(self) -> int:
        """How many stored batches may come again; see doubt.py."""
        return self._doubts.suspects

    def acknowledged(self, events: int) -> None:
        """Count events whose OK was written. Becomes durable with the next transaction, within ``retain_every_s``."""
        self._store.acknowledged(events)

    def connection_opened(self, connection_id: int, peer: str) -> None:
        """Say that a connection from the host ``peer`` (without its port) was opened, before its first batch."""
        self._note(lambda: self._doubts.opened(connection_id, peer))

    def connection_lost(self, connection_id: int) -> None:
        """Say that a connection ended, however it ended, after its last batch."""
        self._note(lambda: self._doubts.lost(connection_id))

    def _note(self, action: Callable[[], None]) -> None:
        def report(future: Future[None]) -> None:
            error = future.exception()
            if error is not None and not isinstance(error, LogClosed):
                self._hooks.upkeep_failed(error)

        self.call(action).add_done_callback(report)

    def start_consumer(self, name: str, position: Position) -> Future[int]:
        """``Log.start_consumer`` between two groups."""
        return self.call(lambda: self._log.start_consumer(name, position))

    def commit(self, name: str, offset: int) -> Future[int]:
        """``Log.commit`` between two groups; retention follows."""
        return self.call(lambda: self._commit(name, offset))

    def forget(self, name: str) -> Future[bool]:
        """``Log.forget`` between two groups; retention follows."""
        return self.call(lambda: self._forget(name))

    def call(self, action: Callable[[], T]) -> Future[T]:
        """Run ``action`` on the writer thread between two groups; its result or error is the future's."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            if self._broken is not None:
                future.set_exception(self._broken)
                return
            try:
                result = action()
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who waits for the future
                future.set_exception(error)
            else:
                future.set_result(result)

        if not self._enqueue(run):
            future.set_exception(self._broken or LogClosed("the log's writer is closed"))
        return future

    def _enqueue(self, action: Callable[[], None]) -> bool:
        with self._changed:
            if self._closing or self._broken is not None:
                return False
            self._queue.append(action)
            self._changed.notify()
        return True

    def close(self) -> None:
        """Store what waits, answer it, and end the thread. The log stays open. A second call does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- on the writer thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait forever for an answer
            self._break(error)

    def _turn(self) -> bool:
        """Do one thing; return whether there may be another."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing, max(0.0, self._upkeep_at_s - time.monotonic()))
            ends = self._closing and not self._queue
            action = self._take()
        if action is not None:
            action()
        elif self._unanswered:
            self._store.store(tuple(self._unanswered))
            self._hooks.answered()
        if ends or time.monotonic() >= self._upkeep_at_s:
            self._upkeep()
        return not ends

    def _take(self) -> Callable[[], None] | None:
        """Take an action from the queue, or as many batches as make a group into ``_unanswered``."""
        size = 0
        while self._queue:
            head = self._queue[0]
            if not isinstance(head, Waiting):
                if self._unanswered:
                    break
                self._queue.popleft()
                return head
            size += head.size
            alone = self._doubts.goes_alone(head.batch)
            if self._unanswered and (alone or size > self._settings.max_group_bytes):
                break
            self._unanswered.append(head)
            self._queue.popleft()
            if alone:
                break
        return None

    def _answer(self, waiting: Waiting, place: int | None, error: BridgeError | None) -> None:
        self._unanswered.remove(waiting)
        with self._changed:
            self._queued_bytes -= waiting.size
            relieved = self._over and self._queued_bytes <= self._settings.max_queued_bytes // 2
            self._over = self._over and not relieved
        waiting.done(place, error)
        if relieved:
            self._hooks.has_room_again()

    def _commit(self, name: str, offset: int) -> int:
        committed = self._log.commit(name, offset)
        self._upkeep_at_s = 0.0
        return committed

    def _forget(self, name: str) -> bool:
        known = self._log.forget(name)
        self._upkeep_at_s = 0.0
        return known

    def _upkeep(self) -> None:
        self._upkeep_at_s = time.monotonic() + self._settings.retain_every_s
        self._try(lambda: self._doubts.expire(self._clock_us()))
        self._try(self._retain)
        self._try(self._store.flush)

    def _retain(self) -> bool:
        """Delete a bounded number of batches and return whether there were any; more follow in the next turn."""
        dropped = self._log.retain(self._clock_us())
        if dropped.more:
            self._upkeep_at_s = 0.0
        if dropped.batches:
            self._hooks.deleted(dropped)
        return dropped.batches > 0

    def _try(self, action: Callable[[], object]) -> None:
        """Run what no batch waits for: its failure is reported and costs nobody an answer."""
        try:
            action()
        except BridgeError as error:
            self._hooks.upkeep_failed(error)

    def _break(self, error: BaseException) -> None:
        with self._changed:
            self._broken = LogWriteFailed(f"the log's writer has stopped: {error!r}: restart the bridge")
            left = [*self._unanswered, *self._queue]
            self._queue.clear()
            self._unanswered.clear()
            self._queued_bytes = 0
        for each in left:
            try:
                if isinstance(each, Waiting):
                    each.done(None, self._broken)
                else:
                    each()
            except Exception as again:  # noqa: BLE001 - a callback's error must not keep the answer from the others
                self._broken.add_note(f"a callback failed as well: {again!r}")
