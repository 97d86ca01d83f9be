"""The socket server: accepts Flume's connections and takes them down in an orderly stop.

One event loop serves all connections, and one shared buffer receives for all of them. The log writes on a thread of its
own; its answers reach the loop through :class:`~avro_bridge.ingest.answers.AnswerQueue`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from avro_bridge.ingest.answers import AnswerQueue
from avro_bridge.ingest.connection import Connection, ConnectionContext
from avro_bridge.ingest.rate_limit import RateLimit
from avro_bridge.ingest.tls import server_context
from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.layer_detection import DetectedLayer
from avro_bridge.wire.layers import DeflateLayer, PlainLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from avro_bridge.config import BridgeConfig
    from avro_bridge.errors import BridgeError
    from avro_bridge.log.log import Log
    from avro_bridge.log.writer import GroupCommitWriter
    from avro_bridge.metrics import BridgeMetrics
    from avro_bridge.wire.layers import Layer

RECEIVE_BYTES = 1024 * 1024
"""Size of the one receive buffer. Flume's batches have some 100 KB to 2 MB; larger reads save wake-ups."""

FRAME_CHECKS = 4
"""How often connections are checked within the time that a frame may take."""

REJECTIONS_LOGGED_PER_S = 1.0
REJECTIONS_LOGGED_AT_ONCE = 10

logger = structlog.get_logger("bridge.ingest")


class IngestServer:
    """Accepts connections and owns what they share.

    Promise: OK is written only after the log has the call's events on disk. Trap: all methods but ``has_room_again``
    run on the loop's thread.
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
        self._config = config
        self._metrics = metrics
        self._monotonic_s = monotonic_s
        self._limits = config.limits.wire_limits()
        self._tls = server_context(config.listen.tls)
        self._connections: set[Connection] = set()
        self._changed = asyncio.Event()
        """Set when a connection has ended or answers were delivered; see ``_until``."""
        self._answers = AnswerQueue(metrics, monotonic_s, delivered=self._changed.set)
        self._rejections = RateLimit(
            per_s=REJECTIONS_LOGGED_PER_S, burst=REJECTIONS_LOGGED_AT_ONCE, monotonic_s=monotonic_s
        )
        self._is_draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._context = ConnectionContext(
            settings=config.listen,
            limits=self._limits,
            protocols=KnownProtocols(self._limits),
            receive_buffer=memoryview(bytearray(RECEIVE_BYTES)),
            log=log,
            writer=writer,
            answers=self._answers,
            metrics=metrics,
            now_us=now_us,
            monotonic_s=monotonic_s,
            new_layer=self._new_layer,
            admit=self._admit,
            ended=self._ended,
            reject=self._reject,
        )

    @property
    def refusal(self) -> BridgeError | None:
        """Why the log refused the latest call; None when it stored it."""
        return self._answers.refusal

    async def start(self) -> int:
        """Bind and listen; return the port.

        Raises:
            OSError: the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        self._answers.start(self._loop)
        listen = self._config.listen
        # All agents connect at once when a bridge comes back, and asyncio's default backlog is 100.
        self._server = await self._loop.create_server(
            lambda: Connection(self._context), listen.host, listen.port, backlog=1024
        )
        self._check_frames(self._loop)
        return int(self._server.sockets[0].getsockname()[1])

    def _check_frames(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check all connections for unfinished frames now, and again later.

        One timer serves all connections, since nearly every frame is complete within milliseconds.
        """
        timeout_s = self._config.listen.frame_timeout_s
        for connection in list(self._connections):
            connection.check_frame(self._monotonic_s() - timeout_s)
        self._timer = loop.call_later(timeout_s / FRAME_CHECKS, self._check_frames, loop)

    async def drain(self) -> None:
        """Stop accepting and reading, answer the calls that the log still works on, close every connection."""
        self._is_draining = True
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.drain()
        try:
            async with asyncio.timeout(self._config.drain_timeout_s):
                await self._until(lambda: not any(connection.pending_calls for connection in self._connections))
                for connection in list(self._connections):
                    connection.close()
                await self._until(lambda: not self._connections)
        except TimeoutError:
            logger.warning("connections cut off while stopping", connections=len(self._connections))
            for connection in list(self._connections):
                connection.abort()
            await self._until(lambda: not self._connections)
        if self._server is not None:
            await self._server.wait_closed()

    async def _until(self, is_done: Callable[[], bool]) -> None:
        # Nothing is awaited between the check and ``clear``, so no change can fall between the two.
        while not is_done():
            self._changed.clear()
            await self._changed.wait()

    def has_room_again(self) -> None:
        """Let paused connections read again. Safe from any thread."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._update_reading)
            except RuntimeError:
                logger.debug("the log's queue has room after the event loop had ended")

    def _update_reading(self) -> None:
        for connection in self._connections:
            connection.update_reading()

    # Called by the connections.

    def _new_layer(self) -> Layer:
        compression = self._config.listen.compression
        if self._tls is not None or compression == "detect":
            # With both TLS and deflate their order depends on Flume's version, so the first bytes must tell.
            return DetectedLayer(
                self._limits, self._tls, require_tls=self._tls is not None, allow_deflate=compression != "none"
            )
        return DeflateLayer(self._limits) if compression == "deflate" else PlainLayer()

    def _admit(self, connection: Connection) -> bool:
        if self._is_draining or len(self._connections) >= self._config.listen.max_connections:
            return False
        self._connections.add(connection)
        self._metrics.connections.set(len(self._connections))
        return True

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._metrics.connections.set(len(self._connections))
        self._changed.set()

    def _reject(self, reason: str, peer: str, detail: str) -> None:
        """Count a closed connection and log it, at a bounded rate: somebody may be flooding the port."""
        self._metrics.rejected.labels(reason=reason).inc()
        suppressed = self._rejections.take()
        if suppressed is not None:
            logger.warning("connection closed", reason=reason, peer=peer, detail=detail, suppressed=suppressed)
