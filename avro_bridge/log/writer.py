"""The writer: a thread that stores the batches of all connections, so that many batches share one sync.

::

    calling threads         writer thread
    --------------          -------------------------------------------------------------------------
    submit(batch, done) --> queue --> all that wait, up to max_group_bytes
                                      --> drop events that are stored already (only while suspects exist)
                                      --> one transaction, one sync
                                      --> done(offset, None) of each
    commit(), retain()  --> queue --> between two groups

The order of the queue is kept, so a lost connection is handled after the batches that it sent before.

When a group does not fit (cap or disk), retention runs once. If that frees nothing, the batches are tried one by one,
so that a small one is stored where a large one does not fit; those at least as large as one that failed are refused
without a try. When a write fails for another reason, every batch of the group gets the error. Either way the log holds
nothing of a batch that got an error.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from avro_bridge.errors import BridgeError, LogClosed, LogError, LogFull, LogWriteFailed
from avro_bridge.log.dedup.suspects import Suspects
from avro_bridge.log.group_commit import Done, GroupCommit, Result, WaitingBatch, WriterHooks
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
    """Writes a log. All methods may be called from any thread, but :meth:`close` not from within a callback."""

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
        self._suspects = Suspects(log.newest_batches, log.settings)
        self._groups = GroupCommit(log, self._suspects, self._hooks, clock_us)
        self._changed = threading.Condition()
        self._queue: deque[WaitingBatch | Callable[[], None]] = deque()
        self._unanswered: list[WaitingBatch] = []
        """Taken from the queue by the writer thread and not answered yet."""
        self._queued_bytes = 0
        self._is_over_bound = False
        self._closing = False
        self._broken: LogError | None = None
        self._upkeep_at_s = 0.0
        # A daemon, so that a process which ends without ``close`` does not hang here: what was answered is synced
        # already.
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    # -- from any thread

    def submit(self, batch: PendingBatch, done: Done) -> None:
        """Queue a batch and return at once; ``done`` is called exactly once, when the batch is on disk or refused.

        ``done`` runs on the calling thread if the batch is refused at once: the writer is closed, or twice
        ``max_queued_bytes`` wait already.
        """
        size = batch.stored_size
        with self._changed:
            refused = self._refusal(size)
            if refused is None:
                self._queue.append(WaitingBatch(batch, done, size))
                self._queued_bytes += size
                self._is_over_bound = self._is_over_bound or self._queued_bytes > self._settings.max_queued_bytes
                self._changed.notify()
        if refused is not None:
            done(None, refused)

    def _refusal(self, size: int) -> LogError | None:
        if self._broken is not None or self._closing:
            return self._broken or LogClosed("the log's writer is closed")
        # Twice the bound: sockets are paused at the bound itself, but calls that had begun to arrive still come in.
        bound = 2 * self._settings.max_queued_bytes
        # An empty queue takes a batch of any size; otherwise one that is larger than the bound could never be stored.
        if self._queued_bytes and self._queued_bytes + size > bound:
            return LogFull(f"{self._queued_bytes} bytes wait for the disk, more than {bound} are not taken: send later")
        return None

    @property
    def has_room(self) -> bool:
        """Whether the queue is below its bound; ``has_room_again`` is called when it falls below half of it."""
        return not self._is_over_bound

    @property
    def broken(self) -> BridgeError | None:
        """Why the writer has stopped; None while it works. A stopped writer needs a restart of the process."""
        return self._broken

    @property
    def suspects(self) -> int:
        """How many stored batches may be sent again; see ``dedup/suspects.py``."""
        return self._suspects.count

    def acknowledged(self, events: int) -> None:
        """Count events whose OK was written. The number is durable within ``retain_every_s``."""
        self._groups.acknowledged(events)

    def connection_opened(self, connection_id: int, peer: str) -> None:
        """Announce a connection from the host ``peer`` (without its port), before its first batch."""
        self._track(lambda: self._suspects.connection_opened(connection_id, peer))

    def connection_lost(self, connection_id: int) -> None:
        """Announce the end of a connection, however it ended, after its last batch."""
        self._track(lambda: self._suspects.connection_lost(connection_id))

    def _track(self, action: Callable[[], None]) -> None:
        def report(future: Future[None]) -> None:
            error = future.exception()
            if error is not None and not isinstance(error, LogClosed):
                self._hooks.upkeep_failed(error)

        self.call(action).add_done_callback(report)

    def start_consumer(self, name: str, position: Position) -> Future[int]:
        """Run ``Log.start_consumer`` between two groups."""
        return self.call(lambda: self._log.start_consumer(name, position))

    def commit(self, name: str, offset: int) -> Future[int]:
        """Run ``Log.commit`` between two groups; retention follows."""
        return self.call(lambda: self._commit(name, offset))

    def forget(self, name: str) -> Future[bool]:
        """Run ``Log.forget`` between two groups; retention follows."""
        return self.call(lambda: self._forget(name))

    def call(self, action: Callable[[], T]) -> Future[T]:
        """Run ``action`` on the writer's thread between two groups; the future gets its result or its error."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            if self._broken is not None:
                future.set_exception(self._broken)
                return
            try:
                result = action()
            except Exception as error:  # noqa: BLE001 - every error belongs to whoever waits for the future
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
        """Store and answer what waits, then end the thread. The log stays open. A second call does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- on the writer's thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:  # noqa: BLE001 - whatever failed, nobody may wait for ever for an answer
            self._break(error)

    def _turn(self) -> bool:
        """Run one action or store one group, then the upkeep if it is due; return False when the writer is closed."""
        with self._changed:
            # A long deletion goes on in steps between the groups, so that no batch waits for all of it.
            timeout_s = 0.0 if self._groups.has_more_to_delete else self._upkeep_at_s - time.monotonic()
            self._changed.wait_for(lambda: self._queue or self._closing, max(0.0, timeout_s))
            is_last = self._closing and not self._queue
            action = self._take()
        if action is not None:
            action()
        elif self._unanswered:
            for result in self._groups.store(tuple(self._unanswered)):
                self._answer(result)
        # The last turn flushes the count of acknowledged events, which nothing else would store any more.
        if is_last or self._groups.has_more_to_delete or time.monotonic() >= self._upkeep_at_s:
            self._upkeep()
        return not is_last

    def _take(self) -> Callable[[], None] | None:
        """Take one action from the queue, or move as many batches as make a group to ``_unanswered``."""
        size = 0
        while self._queue:
            head = self._queue[0]
            if not isinstance(head, WaitingBatch):
                if self._unanswered:
                    break
                self._queue.popleft()
                return head
            size += head.size
            alone = self._suspects.needs_own_group(head.batch)
            # The first batch is taken whatever its size: one above the bound makes a group alone.
            if self._unanswered and (alone or size > self._settings.max_group_bytes):
                break
            self._unanswered.append(head)
            self._queue.popleft()
            if alone:
                break
        return None

    def _answer(self, result: Result) -> None:
        waiting, first_offset, error = result
        self._unanswered.remove(waiting)
        with self._changed:
            self._queued_bytes -= waiting.size
            # Half of the bound, not the bound itself, so that sockets do not pause and resume with every batch.
            is_relieved = self._is_over_bound and self._queued_bytes <= self._settings.max_queued_bytes // 2
            self._is_over_bound = self._is_over_bound and not is_relieved
        waiting.done(first_offset, error)
        if is_relieved:
            self._hooks.has_room_again()

    def _commit(self, name: str, offset: int) -> int:
        committed = self._log.commit(name, offset)
        # What was committed may be deleted now, so the upkeep follows in this turn: a full log gets room at once.
        self._upkeep_at_s = 0.0
        return committed

    def _forget(self, name: str) -> bool:
        is_known = self._log.forget(name)
        self._upkeep_at_s = 0.0
        return is_known

    def _upkeep(self) -> None:
        self._upkeep_at_s = time.monotonic() + self._settings.retain_every_s
        self._try(lambda: self._suspects.expire(self._clock_us()))
        self._try(self._groups.retain)
        self._try(self._groups.flush)

    def _try(self, action: Callable[[], object]) -> None:
        """Run what no batch waits for: its failure is reported and fails no batch."""
        try:
            action()
        except BridgeError as error:
            self._hooks.upkeep_failed(error)

    def _break(self, error: BaseException) -> None:
        """Stop the writer after an error that it cannot handle, and give the error to everyone who waits."""
        with self._changed:
            self._broken = LogWriteFailed(f"the log's writer has stopped: {error!r}: restart the bridge")
            remaining = [*self._unanswered, *self._queue]
            self._queue.clear()
            self._unanswered.clear()
            self._queued_bytes = 0
        for each in remaining:
            try:
                if isinstance(each, WaitingBatch):
                    each.done(None, self._broken)
                else:
                    # Runs into the check for ``_broken`` in ``call``, which fails its future.
                    each()
            except Exception as again:  # noqa: BLE001 - a callback's error must not keep the answer from the others
                self._broken.add_note(f"a callback failed as well: {again!r}")
