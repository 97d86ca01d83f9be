"""The socket server: accepts Flume's connections, and hands the log's answers back to them.

One event loop serves all connections and one shared buffer receives for all of them: a read is copied out of it before
the loop turns. The log has a thread of its own; its answers come back in one wake-up a commit.
"""

from __future__ import annotations

import asyncio
import collections
import threading
from typing import TYPE_CHECKING

import structlog

from avro_bridge.ingest.connection import Connection
from avro_bridge.ingest.rate_limit import RateLimit
from avro_bridge.ingest.tls import server_context
from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.layer_detection import DetectedLayer
from avro_bridge.wire.layers import DeflateLayer, PlainLayer
from avro_bridge.wire.limits import WireLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from avro_bridge.config import BridgeConfig
    from avro_bridge.errors import BridgeError
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.writer import GroupCommitWriter
    from avro_bridge.metrics import BridgeMetrics
    from avro_bridge.wire.layers import Layer
    from avro_bridge.wire.server import Call

RECEIVE_BYTES = 1024 * 1024
"""Size of the one receive buffer. Flume's batches are some 100 KB to 2 MB; larger reads save wake-ups."""

FRAME_LOOKS = 4
"""How often, within the time that a frame may take, connections are looked at."""

logger = structlog.get_logger("bridge.ingest")


class IngestServer:
    """Accepts connections, and owns all that they share.

    Promise: OK is written only after the log has the call's events on disk. Trap: all methods but ``answered`` run on
    the loop's thread.
    """

    def __init__(
        self,
        config: BridgeConfig,
        log: Log,
        writer: GroupCommitWriter,
        metrics: BridgeMetrics,
        now_us: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> None:
        self.config = config
        self.log = log
        self.writer = writer
        self.metrics = metrics
        self.now_us = now_us
        self.limits = WireLimits(
            max_frame_bytes=config.limits.max_frame_bytes,
            max_events=config.limits.max_events,
            max_header_bytes=config.limits.max_header_bytes,
            max_inflate_ratio=config.limits.max_inflate_ratio,
        )
        self.protocols = KnownProtocols(self.limits)
        self.receive_buffer = memoryview(bytearray(RECEIVE_BYTES))
        self.connections: set[Connection] = set()
        self.draining = False
        self.refusing: BridgeError | None = None
        """Why the log refused the latest call; None when it took it."""
        self.monotonic_s = monotonic_s
        self.received_bytes = 0
        self._tls = server_context(config.listen.tls)
        self._replies = {status: metrics.replies.labels(status=status) for status in ("ok", "failed", "error")}
        metrics.received_bytes.set_function(lambda: self.received_bytes)
        self._complaints = RateLimit(per_s=1.0, burst=10, monotonic_s=monotonic_s)
        self._answers: collections.deque[tuple[Connection, Call, float, BridgeError | None]] = collections.deque()
        self._progress = asyncio.Event()
        self._wake_lock = threading.Lock()
        self._woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Bind and listen; return the port.

        Raises:
            OSError: the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        listen = self.config.listen
        self._server = await self._loop.create_server(lambda: Connection(self), listen.host, listen.port, backlog=1024)
        self._look_after_frames(self._loop)
        return int(self._server.sockets[0].getsockname()[1])

    def _look_after_frames(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for unfinished frames now and then. One timer serves all: most frames are complete in milliseconds."""
        timeout_s = self.config.listen.frame_timeout_s
        for connection in list(self.connections):
            connection.check_frame(self.monotonic_s() - timeout_s)
        self._timer = loop.call_later(timeout_s / FRAME_LOOKS, self._look_after_frames, loop)

    async def drain(self) -> None:
        """Stop accepting and reading, answer what the log still works on, close every connection."""
        self.draining = True
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            connection.stop_reading()
        try:
            async with asyncio.timeout(self.config.drain_timeout_s):
                await self._until(lambda: not any(connection.pending_calls for connection in self.connections))
                for connection in list(self.connections):
                    connection.close()
                await self._until(lambda: not self.connections)
        except TimeoutError:
            logger.warning("connections cut off while stopping", connections=len(self.connections))
            for connection in list(self.connections):
                connection.abort()
            await self._until(lambda: not self.connections)
        if self._server is not None:
            await self._server.wait_closed()

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._progress.clear()
            await self._progress.wait()

    def forget(self, connection: Connection) -> None:
        """Take a connection that has ended off the books."""
        self.connections.discard(connection)
        self.metrics.connections.set(len(self.connections))
        self._progress.set()

    def new_layer(self) -> Layer:
        """What lies between a new connection's socket and its frames."""
        compression = self.config.listen.compression
        if self._tls is not None or compression == "detect":
            # With both TLS and deflate their order depends on Flume's version, so the first bytes must tell.
            return DetectedLayer(
                self.limits, self._tls, require_tls=self._tls is not None, allow_deflate=compression != "none"
            )
        return DeflateLayer(self.limits) if compression == "deflate" else PlainLayer()

    def has_room_again(self) -> None:
        """Let held connections read on. Called on the log's thread."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._resume)
            except RuntimeError:
                logger.debug("room in the queue, and nobody left to read")

    def _resume(self) -> None:
        for connection in self.connections:
            connection.hold()

    def submit(self, connection: Connection, call: Call, batch: PendingBatch) -> None:
        """Give a call's events to the log; the connection hears of it through ``answer``."""
        self.metrics.received_events.inc(call.event_count)
        began_s = self.monotonic_s()

        def done(_first_offset: int | None, error: BridgeError | None) -> None:
            self.answered(connection, call, began_s, error)

        self.writer.submit(batch, done)

    def answered(self, connection: Connection, call: Call, began_s: float, error: BridgeError | None) -> None:
        """Take one answer of the log. Called on the log's thread; wakes the loop at most once until it has run."""
        self._answers.append((connection, call, began_s, error))
        with self._wake_lock:
            if self._woken or self._loop is None:
                return
            self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop has ended: nobody is left to answer, and Flume will send the batch again.
            logger.warning("an answer found no listener")

    def _deliver(self) -> None:
        with self._wake_lock:
            self._woken = False
        while self._answers:
            connection, call, began_s, error = self._answers.popleft()
            self.metrics.ack_seconds.observe(self.monotonic_s() - began_s)
            self._replies["ok" if error is None else "failed" if error.retry else "error"].inc()
            self.refusing = error
            connection.answer(call, error)
        self._progress.set()

    def complain(self, case: str, peer: str, text: str) -> None:
        """Count a closed connection and log it, at a bounded rate: the port may be under fire."""
        self.metrics.rejected.labels(reason=case).inc()
        suppressed = self._complaints.take()
        if suppressed is not None:
            logger.warning("connection closed", reason=case, peer=peer, detail=text, suppressed=suppressed)
