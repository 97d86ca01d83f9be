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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from avro_bridge.errors import BridgeError, LogClosed, LogError, LogFull, LogWriteFailed
from avro_bridge.log.doubt import Doubts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from avro_bridge.log.consumers import Position
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.retention import Dropped
    from avro_bridge.log.store import Log

T = TypeVar("T")

_MIB: Final = 2**20


class Done(Protocol):
    """What a caller is told of its batch, on the writer thread, after the sync. Must be quick and must not raise."""

    def __call__(self, first_offset: int | None, error: BridgeError | None, /) -> None:
        """``first_offset`` is None with an error, and without one when all events were stored already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSettings:
    """Sizes in bytes, times in seconds."""

    max_group_bytes: int = 16 * _MIB
    """How much one transaction stores at most; a larger batch goes alone."""

    max_queued_bytes: int = 64 * _MIB
    """Beyond this ``has_room`` is false: stop reading from sockets. Beyond twice this batches are refused."""

    retain_every_s: float = 1.0
    """How often retention, expiry and the durable count of acknowledged events are seen to, at least."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one transaction stored."""

    batches: int
    events: int
    payload_bytes: int
    deduplicated_events: int
    seconds: float
    """From the begin of the transaction to the end of its sync."""


def _ignore(*_about: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterHooks:
    """What the writer tells about itself, on its own thread. Each must be quick and must not raise."""

    after_group: Callable[[Group], None] = _ignore
    """After the ``done`` of each batch of a group: the place to wake an event loop once per commit."""

    has_room_again: Callable[[], None] = _ignore
    """The queue was over its bound and is below half of it now."""

    deleted: Callable[[Dropped], None] = _ignore
    """Retention deleted something; ``unread_events`` of it are worth a warning."""

    retention_failed: Callable[[BridgeError], None] = _ignore
    """Retention or the upkeep beside it failed; it is tried again."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: PendingBatch
    done: Done


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
        self._changed = threading.Condition()
        self._queue: deque[_Waiting | Callable[[], None]] = deque()
        self._queued_bytes = 0
        self._over = False
        self._acknowledged = 0
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
                self._queue.append(_Waiting(batch, done))
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
        """Bytes that wait for a transaction."""
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
        with self._changed:
            self._acknowledged += events

    def connection_opened(self, connection_id: int, peer: str) -> None:
        """Say that a connection from the host ``peer`` (without its port) was opened, before its first batch."""
        self._enqueue(lambda: self._doubts.opened(connection_id, peer))

    def connection_lost(self, connection_id: int) -> None:
        """Say that a connection ended, however it ended, after its last batch."""
        self._enqueue(lambda: self._doubts.lost(connection_id))

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
