"""Group commit: one transaction and one sync for all batches of a group; if the disk is full, whatever fits.

Also holds the types with which the writer talks to its callers: a callback for each batch, and hooks for monitoring.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from avro_bridge.errors import BridgeError, LogError, LogFull

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from avro_bridge.log.dedup.suspects import Suspects
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.retention import Deleted


class Done(Protocol):
    """Callback for the result of one batch, on the writer's thread, after the sync. Must be quick and must not raise.

    ``first_offset`` is None with an error, and also without one when all events of the batch were stored already.
    """

    def __call__(self, first_offset: int | None, error: BridgeError | None, /) -> None:
        """Take the result."""


@dataclass(slots=True, eq=False)
class WaitingBatch:
    """A batch that has no answer yet."""

    batch: PendingBatch
    done: Done
    size: int
    """Of the batch as its caller gave it; ``batch`` is replaced by a smaller one when some events are duplicates."""


Result: TypeAlias = tuple[WaitingBatch, int | None, BridgeError | None]
"""A batch with what its ``done`` is to be called with."""


def _ignore(*_about: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterHooks:
    """Callbacks for monitoring the writer, on its own thread. Each must be quick and must not raise."""

    has_room_again: Callable[[], None] = _ignore
    """Called when the queue, which was over its bound, has fallen below half of it."""

    deleted: Callable[[Deleted], None] = _ignore
    """Called when retention has deleted batches. Its ``unread_events`` are worth a warning."""

    upkeep_failed: Callable[[BaseException], None] = _ignore
    """Called when retention or the tracking of suspects failed. Retention is tried again."""


class GroupCommit:
    """Drops duplicates, appends what is left, and makes room when it does not fit.

    Belongs to the writer's thread, except for :meth:`acknowledged`.
    """

    def __init__(self, log: Log, suspects: Suspects, hooks: WriterHooks, clock_us: Callable[[], int]) -> None:
        self._log = log
        self._suspects = suspects
        self._hooks = hooks
        self._clock_us = clock_us
        self._mutex = threading.Lock()
        self._acknowledged = 0
        self.has_more_to_delete = False
        """The last :meth:`retain` reached its bound: call it again soon."""

    def acknowledged(self, events: int) -> None:
        """Count events whose OK was written. The next transaction makes the number durable. Safe from any thread."""
        with self._mutex:
            self._acknowledged += events

    def store(self, waiting: Sequence[WaitingBatch]) -> Iterator[Result]:
        """Store the batches, and yield the result of each one as soon as it is certain.

        Stored batches come in their order. The caller must take all results: the work goes on between them.
        """
        group: list[WaitingBatch] = []
        for each in waiting:
            try:
                # One by one, so that a batch which cannot be parsed is refused alone and fails nobody else's.
                each.batch = self._suspects.drop_resent(each.batch)
            except BridgeError as error:
                yield each, None, error
            else:
                group.append(each)
        if not group:
            return
        refusal = yield from self._append(group)
        # Only a lack of room is worth a second try: whatever else failed would most likely fail again.
        if isinstance(refusal, LogFull) and self._makes_room():
            refusal = yield from self._append(group)
        if isinstance(refusal, LogFull) and len(group) > 1:
            yield from self._store_what_fits(group)
        elif refusal is not None:
            for each in group:
                yield each, None, refusal

    def _makes_room(self) -> bool:
        """Delete what need not be kept; return whether anything was deleted."""
        try:
            return self.retain()
        except LogError:
            # A full disk may have no room for the deletion either. The batches are refused then, as without anything
            # to delete; the upkeep tries the deletion again.
            return False

    def _store_what_fits(self, group: Sequence[WaitingBatch]) -> Iterator[Result]:
        """Try each batch alone, but none that is at least as large as one that did not fit."""
        too_large: int | None = None
        full: LogError | None = None
        for each in group:
            size = each.batch.stored_size
            # Each try costs a transaction, and a batch needs no less room than a smaller one that did not fit.
            if too_large is None or size < too_large:
                error = yield from self._append([each])
                if error is None:
                    continue
                if not isinstance(error, LogFull):
                    yield each, None, error
                    continue
                full, too_large = error, size
            yield each, None, full

    def _append(self, group: Sequence[WaitingBatch]) -> Generator[Result, None, LogError | None]:
        """Store the whole group and yield its results, or return why nothing of it is stored."""
        batches = [each.batch for each in group]
        try:
            first_offsets = self._commit(batches)
        except LogError as error:
            return error
        for waiting, first_offset in zip(group, first_offsets, strict=True):
            yield waiting, first_offset, None
        # Everything below comes after the answers, since an error in it must not turn a stored batch into a refused
        # one.
        for batch in batches:
            try:
                self._suspects.batch_stored(batch)
            except BridgeError as error:
                # The batches are stored and answered; only a later resend may go unrecognised.
                self._hooks.upkeep_failed(error)
        return None

    def _commit(self, batches: Sequence[PendingBatch]) -> list[int | None]:
        """Run one transaction with everything that waits for one; return the first offsets of ``batches``."""
        with self._mutex:
            acknowledged, self._acknowledged = self._acknowledged, 0
        try:
            first_offsets = self._log.append(
                batches, acknowledged_events=acknowledged, forget_connections=self._suspects.forgettable
            )
        except LogError:
            # The number was not stored either: the next transaction takes it.
            self.acknowledged(acknowledged)
            raise
        self._suspects.forgettable.clear()
        return first_offsets

    def retain(self) -> bool:
        """Delete a bounded number of batches that need not be kept; return whether there were any.

        Raises:
            LogError: nothing was deleted.
        """
        # Cleared first: if the call fails, the writer waits for the next upkeep instead of trying without a pause.
        self.has_more_to_delete = False
        deleted = self._log.retain(self._clock_us())
        self.has_more_to_delete = deleted.more
        if deleted.batches:
            self._hooks.deleted(deleted)
        return deleted.batches > 0

    def flush(self) -> None:
        """Make durable what otherwise waits for the next batch: the count of acknowledged events, obsolete records.

        Raises:
            LogError: nothing was written; the next transaction tries again.
        """
        # Read without the mutex: events that are acknowledged just now are written by the next call.
        if self._acknowledged or self._suspects.forgettable:
            self._commit([])
