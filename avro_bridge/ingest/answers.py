"""Carries the log's answers from the writer's thread to the event loop, and counts them.

The writer answers all batches of a group at once. The first answer wakes the loop; the others wait in the queue until
the loop has run, so one commit costs one wake-up however many calls it stores.
"""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from avro_bridge.errors import BridgeError
    from avro_bridge.metrics import BridgeMetrics

logger = structlog.get_logger("bridge.ingest")


@dataclass(frozen=True, slots=True)
class Answer:
    """The log's answer to one call."""

    error: BridgeError | None
    """Why the log refused the call's events; None when they are on disk."""
    submitted_s: float
    """When the call was given to the log, on the monotonic clock."""
    deliver: Callable[[BridgeError | None], None]
    """Called on the loop's thread with the error."""


class AnswerQueue:
    """Takes answers on the writer's thread and delivers them on the loop's thread, in their order.

    Args:
        metrics: counts the answers by status and measures how long they took.
        monotonic_s: the clock that ``Answer.submitted_s`` was read from.
        delivered: called on the loop's thread after each round of deliveries.
    """

    def __init__(self, metrics: BridgeMetrics, monotonic_s: Callable[[], float], delivered: Callable[[], None]) -> None:
        self._ack_seconds = metrics.ack_seconds
        self._replies = {status: metrics.replies.labels(status=status) for status in ("ok", "failed", "error")}
        self._monotonic_s = monotonic_s
        self._delivered = delivered
        self._waiting: collections.deque[Answer] = collections.deque()
        self._lock = threading.Lock()
        self._is_woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.refusal: BridgeError | None = None
        """Why the log refused the latest call; None when it stored it."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on this loop from now on."""
        self._loop = loop

    def put(self, answer: Answer) -> None:
        """Queue one answer. Safe from any thread; wakes the loop at most once until it has run."""
        self._waiting.append(answer)
        with self._lock:
            if self._is_woken or self._loop is None:
                return
            self._is_woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop has ended, so no connection is left to answer. Flume will send the batch again.
            logger.warning("an answer came after the event loop had ended")

    def _deliver(self) -> None:
        # Cleared before the queue is emptied: an answer that arrives meanwhile may wake the loop once too often, but
        # never waits without a wake-up.
        with self._lock:
            self._is_woken = False
        while self._waiting:
            answer = self._waiting.popleft()
            error = answer.error
            self._ack_seconds.observe(self._monotonic_s() - answer.submitted_s)
            self._replies["ok" if error is None else "failed" if error.retry else "error"].inc()
            self.refusal = error
            answer.deliver(error)
        self._delivered()
