"""Storing one group of batches: all with one sync, or as much of it as there is room for."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from avro_bridge.errors import BridgeError, LogError, LogFull
from avro_bridge.log.callbacks import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from avro_bridge.log.callbacks import Waiting, WriterHooks
    from avro_bridge.log.dedup.suspects import Doubts
    from avro_bridge.log.log import Log

    class Answer(Protocol):
        """Tells whoever waits for a batch how it went; called once for each."""

        def __call__(self, waiting: Waiting, place: int | None, error: BridgeError | None, /) -> None:
            """``place`` is the first offset, or None."""


class GroupStore:
    """Compares, appends and answers. Belongs to the writer's thread, but for :meth:`acknowledged`.

    ``make_room`` deletes what need not be kept and returns whether there was any.
    """

    def __init__(
        self, log: Log, doubts: Doubts, hooks: WriterHooks, answer: Answer, make_room: Callable[[], bool]
    ) -> None:
        self._log = log
        self._doubts = doubts
        self._hooks = hooks
        self._answer = answer
        self._make_room = make_room
        self._mutex = threading.Lock()
        self._acknowledged = 0

    def acknowledged(self, events: int) -> None:
        """Count events whose OK was written; the next transaction makes the number durable. From any thread."""
        with self._mutex:
            self._acknowledged += events

    def store(self, waiting: Sequence[Waiting]) -> None:
        """Store the batches and answer each of them, in their order as far as they are stored."""
        group = [each for each in waiting if self._compare(each)]
        if not group:
            return
        error = self._append(group)
        if isinstance(error, LogFull) and self._make_room():
            error = self._append(group)
        if isinstance(error, LogFull) and len(group) > 1:
            self._store_what_fits(group)
        elif error is not None:
            for each in group:
                self._answer(each, None, error)

    def _compare(self, waiting: Waiting) -> bool:
        try:
            waiting.batch = self._doubts.compare(waiting.batch)
        except BridgeError as error:
            self._answer(waiting, None, error)
            return False
        return True

    def _store_what_fits(self, group: Sequence[Waiting]) -> None:
        too_large: int | None = None
        full: LogError | None = None
        for each in group:
            size = each.batch.stored_size
            if too_large is None or size < too_large:
                error = self._append([each])
                if error is None:
                    continue
                if not isinstance(error, LogFull):
                    self._answer(each, None, error)
                    continue
                full, too_large = error, size
            self._answer(each, None, full)

    def _append(self, group: Sequence[Waiting]) -> LogError | None:
        """Store all of the group and answer it, or return why nothing of it is stored."""
        with self._mutex:
            acknowledged, self._acknowledged = self._acknowledged, 0
        batches = [each.batch for each in group]
        begin_s = time.perf_counter()
        try:
            places = self._log.append(batches, acknowledged_events=acknowledged, settled=self._doubts.settled)
        except LogError as error:
            self.acknowledged(acknowledged)
            return error
        seconds = time.perf_counter() - begin_s
        self._doubts.settled.clear()
        for waiting, place in zip(group, places, strict=True):
            self._answer(waiting, place, None)
        if group:
            self._hooks.after_group(Group.of(batches, seconds))
        for batch in batches:
            try:
                self._doubts.stored(batch)
            except BridgeError as error:
                self._hooks.upkeep_failed(error)
        return None

    def flush(self) -> None:
        """Make durable what else waits for a transaction: the count of acknowledged events, and settled doubts.

        Raises:
            LogError: it is tried again with the next transaction.
        """
        if self._acknowledged or self._doubts.settled:
            error = self._append([])
            if error is not None:
                raise error
