"""One connection from a Flume sink: received bytes become calls, calls become stored batches, answers become replies.

The states of a connection, and what moves it from one to the next::

    opened ──bytes──► reading ──whole call──► waiting for the log ──stored───► OK      ─► reading
       │                 │                            ├──────────no room──► FAILED  ─► reading (Flume closes)
       │                 │                            └────other error────► error   ─► reading (Flume closes)
       │                 └─malformed bytes, or a frame that takes too long──► closed, counted by its reason
       └─over max_connections──► closed, counted

Reading pauses, so that TCP pushes back on Flume, while ``max_pending_calls`` calls are unanswered or while the log's
queue is full. However a connection ends, its newest stored batch becomes a suspect (``log/dedup/suspects.py``): nothing
proves that the last OK arrived, so Flume may send that batch again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from avro_bridge.errors import LayerError, ProtocolError
from avro_bridge.ingest.answers import Answer
from avro_bridge.ingest.calls import JointAnswer, batches_of
from avro_bridge.log.blocks import HEADROOM
from avro_bridge.wire.server import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from avro_bridge.config import ListenConfig
    from avro_bridge.errors import BridgeError
    from avro_bridge.ingest.answers import AnswerQueue
    from avro_bridge.log.log import Log
    from avro_bridge.log.writer import GroupCommitWriter
    from avro_bridge.metrics import BridgeMetrics
    from avro_bridge.wire.handshake import KnownProtocols
    from avro_bridge.wire.layers import Layer
    from avro_bridge.wire.limits import WireLimits
    from avro_bridge.wire.server import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What all connections of one server share. A connection knows its server only through this."""

    settings: ListenConfig
    limits: WireLimits
    protocols: KnownProtocols
    receive_buffer: memoryview
    """One buffer receives for all connections. What lands in it is copied out before the event loop runs on."""
    log: Log
    writer: GroupCommitWriter
    answers: AnswerQueue
    metrics: BridgeMetrics
    now_us: Callable[[], int]
    monotonic_s: Callable[[], float]
    new_layer: Callable[[], Layer]
    """Makes what lies between a new connection's socket and its frames."""
    admit: Callable[[Connection], bool]
    """Registers a new connection; False when the server takes no more."""
    ended: Callable[[Connection], None]
    """Removes a connection that has ended."""
    reject: Callable[[str, str, str], None]
    """Counts and logs why a connection is closed: the reason, the peer's address, the details."""


class Connection(asyncio.BufferedProtocol):
    """Passes one socket's bytes to the wire, the wire's calls to the log, and the log's answers back to the socket.

    All methods run on the event loop's thread.
    """

    def __init__(self, context: ConnectionContext) -> None:
        self._context = context
        self._wire = ServerConnection(context.limits, HEADROOM, context.protocols)
        self._layer = context.new_layer()
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._frame_since_s: float | None = None
        """When the frame that is not complete yet began, on the monotonic clock."""
        self._connection_id: int | None = None
        self._is_ending = False
        self._is_paused = False
        self._is_draining = False
        self.pending_calls = 0
        """Calls that are not answered yet."""

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection, or close it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if address else "?"
        if not self._context.admit(self):
            self._context.reject("connections", self._peer, "too many connections")
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return the buffer that all connections receive into."""
        return self._context.receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Process the bytes that were received."""
        self._context.metrics.received_bytes.inc(nbytes)
        if self._is_ending:
            return
        try:
            self._receive(self._context.receive_buffer[:nbytes])
        except ProtocolError as error:
            self._end(error)

    def eof_received(self) -> bool:
        """Close when the peer has sent its last byte; the log still stores the calls it has been given."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell the log that the newest stored batch may be sent again."""
        self._context.ended(self)
        if self._connection_id is not None:
            self._context.writer.connection_lost(self._connection_id)

    # Called by the server.

    def update_reading(self) -> None:
        """Pause reading while too many calls wait or the log's queue is full; resume when neither is so."""
        context, transport = self._context, self._transport
        should_pause = self.pending_calls >= context.settings.max_pending_calls or not context.writer.has_room
        # These have stopped reading for the last time: to resume would take in calls that nobody answers any more.
        if transport is None or transport.is_closing() or self._is_ending or self._is_draining:
            return
        if should_pause == self._is_paused:
            return
        self._is_paused = should_pause
        if should_pause:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def check_frame(self, begun_before_s: float) -> None:
        """Close the connection if its frame began before that time and is still not complete.

        A connection without an open frame may stay idle for ever, as Flume's do. While reading is paused no frame can
        be completed, so that time does not count.
        """
        if self._frame_since_s is None or self._is_ending:
            return
        if self._is_paused:
            self._frame_since_s = self._context.monotonic_s()
        elif self._frame_since_s < begun_before_s:
            timeout_s = self._context.settings.frame_timeout_s
            self._end(LayerError(f"a frame was begun and not completed within {timeout_s:g} s"))

    def drain(self) -> None:
        """Read nothing more; answers still go out."""
        self._is_draining = True
        self._stop_reading()

    def close(self) -> None:
        """Close after everything written so far has gone out."""
        if self._transport is not None and not self._transport.is_closing():
            self._send_raw(self._layer.close())
            self._transport.close()

    def abort(self) -> None:
        """Close at once, for a peer that does not read what was written."""
        if self._transport is not None:
            self._transport.abort()

    def _receive(self, data: memoryview) -> None:
        try:
            for piece in self._layer.receive(data):
                calls, replies = self._wire.receive(piece)
                self._write(replies)
                for call in calls:
                    self._submit(call)
                if self._wire.error is not None:
                    raise self._wire.error
        finally:
            # Also after an error: a TLS alert tells the peer why the connection ends.
            self._send_raw(self._layer.pending())
        if not self._wire.in_frame:
            self._frame_since_s = None
        elif self._frame_since_s is None:
            self._frame_since_s = self._context.monotonic_s()

    def _submit(self, call: Call) -> None:
        context = self._context
        if self._connection_id is None:
            # Assign the id with the first batch. A new connection makes the batches of others from the same host
            # suspects, and a port scan must not do that.
            self._connection_id = context.log.new_connection_id()
            context.writer.connection_opened(self._connection_id, self._peer)
        batches = batches_of(call, self._connection_id, context.now_us())
        lines = sum(each.count for each in batches)
        submitted_s = context.monotonic_s()

        def answered(error: BridgeError | None) -> None:
            # On the writer's thread: only the queue may be touched here.
            context.answers.put(Answer(error, submitted_s, lambda reason: self._answer(call, lines, reason)))

        done = JointAnswer(len(batches), answered)
        self.pending_calls += 1
        context.metrics.received_events.inc(lines)
        for batch in batches:
            context.writer.submit(batch, done)
        self.update_reading()

    def _answer(self, call: Call, lines: int, error: BridgeError | None) -> None:
        """Write the reply to one call."""
        self.pending_calls -= 1
        if error is None:
            self._context.writer.acknowledged(lines)
            reply = self._wire.reply_ok(call)
        elif error.retry:
            reply = self._wire.reply_failed(call)
        else:
            reply = self._wire.reply_error(call, f"{error.case}: {error}")
        self._write(reply)
        if self._is_ending and not self.pending_calls:
            self.close()
        else:
            self.update_reading()

    def _end(self, error: ProtocolError) -> None:
        """End the connection of a peer that broke the protocol, once the calls before the error are answered."""
        self._context.reject(error.case, self._peer, str(error))
        self._is_ending = True
        if self.pending_calls:
            self._stop_reading()
        else:
            self.close()

    def _stop_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _write(self, reply: bytes) -> None:
        if reply and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._layer.send(reply))

    def _send_raw(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
