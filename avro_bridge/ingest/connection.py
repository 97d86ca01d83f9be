"""One connection from Flume.

What it goes through, and who moves it::

    opened ──bytes──► reading ──whole call──► waiting for the log ──stored───► OK      ─► reading
       │                 │                            ├──────────no room──► FAILED  ─► reading (Flume closes)
       │                 │                            └──────────fault────► error   ─► reading (Flume closes)
       │                 └─bad bytes, or a frame that takes too long──► closed, counted by its case
       └─over max_connections──► closed, counted

Reading pauses, so that TCP pushes back on Flume, while ``max_pending_calls`` calls are unanswered or while the log's
queue is full. A connection that ends, however it ends, leaves its newest stored batch in doubt: nothing proves that the
last OK arrived.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from avro_bridge.errors import LayerError, ProtocolError
from avro_bridge.log.record import HEADER_SIZE, PayloadKind, PendingBatch
from avro_bridge.wire.server import ServerConnection

if TYPE_CHECKING:
    from avro_bridge.errors import BridgeError
    from avro_bridge.ingest.server import IngestServer
    from avro_bridge.wire.server import Call


class Connection(asyncio.BufferedProtocol):
    """Feeds one socket to the wire, the wire's calls to the log, and the log's answers back to the socket."""

    def __init__(self, server: IngestServer) -> None:
        self._server = server
        self._wire = ServerConnection(server.limits, HEADER_SIZE, server.protocols)
        self._layer = server.new_layer()
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._frame_since_s: float | None = None
        self._connection_id: int | None = None
        self._ending = False
        self._held = False
        self.pending_calls = 0

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or close it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if address else "?"
        server = self._server
        if server.draining or len(server.connections) >= server.config.listen.max_connections:
            server.complain("connections", self._peer, "too many connections")
            self._transport.abort()
            return
        server.connections.add(self)
        server.metrics.connections.set(len(server.connections))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Lend the server's one receive buffer: what lands in it is copied out before the loop turns."""
        return self._server.receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was received."""
        self._server.received_bytes += nbytes
        if self._ending:
            return
        try:
            self._receive(self._server.receive_buffer[:nbytes])
        except ProtocolError as error:
            self._break_off(error)

    def eof_received(self) -> bool:
        """Close when the peer has sent all it will; calls that are being stored are stored all the same."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Leave the newest stored batch in doubt."""
        self._server.forget(self)
        if self._connection_id is not None:
            self._server.writer.connection_lost(self._connection_id)

    # Called by the server.

    def answer(self, call: Call, error: BridgeError | None) -> None:
        """Write the reply to one call, now that the log has decided."""
        self.pending_calls -= 1
        if error is None:
            self._server.writer.acknowledged(call.event_count)
            reply = self._wire.reply_ok(call)
        elif error.retry:
            reply = self._wire.reply_failed(call)
        else:
            reply = self._wire.reply_error(call, f"{error.case}: {error}")
        self._write(reply)
        if self._ending and not self.pending_calls:
            self.close()
        else:
            self.hold()

    def hold(self) -> None:
        """Pause reading while there is a reason to, and go on when there is none."""
        server, transport = self._server, self._transport
        wanted = self.pending_calls >= server.config.listen.max_pending_calls or not server.writer.has_room
        if transport is None or transport.is_closing() or self._ending or server.draining or wanted == self._held:
            return
        self._held = wanted
        if wanted:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def check_frame(self, began_before_s: float) -> None:
        """Let go of a peer whose frame was begun before that time and is not complete.

        An idle connection may stay for ever, as Flume's do; and while this side does not read, nothing can be complete.
        """
        if self._frame_since_s is None or self._ending:
            return
        if self._held:
            self._frame_since_s = self._server.monotonic_s()
        elif self._frame_since_s < began_before_s:
            self._break_off(LayerError("a frame was begun and not finished in time"))

    def stop_reading(self) -> None:
        """Read nothing more; answers still go out."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """Close after what was written has gone out."""
        if self._transport is not None and not self._transport.is_closing():
            self._send_raw(self._layer.close())
            self._transport.close()

    def abort(self) -> None:
        """Close at once: the peer does not take what was written."""
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
            self._send_raw(self._layer.pending())
        if not self._wire.in_frame:
            self._frame_since_s = None
        elif self._frame_since_s is None:
            self._frame_since_s = self._server.monotonic_s()

    def _submit(self, call: Call) -> None:
        server = self._server
        if self._connection_id is None:
            # An id only for who sends events: a port scan must not put other connections' batches under suspicion.
            self._connection_id = server.log.new_connection_id()
            server.writer.connection_opened(self._connection_id, self._peer)
        batch = PendingBatch(
            buffer=call.buffer,
            start=call.start,
            count=call.event_count,
            kind=PayloadKind.EVENTS,
            connection_id=self._connection_id,
            received_us=server.now_us(),
        )
        self.pending_calls += 1
        server.submit(self, call, batch)
        self.hold()

    def _break_off(self, error: ProtocolError) -> None:
        """Let go of a peer that broke the rules; what was understood before is stored and answered first."""
        self._server.complain(error.case, self._peer, str(error))
        self._ending = True
        if self.pending_calls:
            self.stop_reading()
        else:
            self.close()

    def _write(self, reply: bytes) -> None:
        if reply and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._layer.send(reply))

    def _send_raw(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
