"""A small receiver of Flume's Avro calls, for tests of the agent alone, which are not to lean on the bridge."""

from __future__ import annotations

import io
import socketserver
import struct
import threading
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import fastavro

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator
    from io import BufferedIOBase

OK, FAILED = b"\x00", b"\x02"
_EVENTS = fastavro.parse_schema(
    {
        "type": "array",
        "items": {
            "type": "record",
            "name": "AvroFlumeEvent",
            "fields": [
                {"name": "headers", "type": {"type": "map", "values": "string"}},
                {"name": "body", "type": "bytes"},
            ],
        },
    }
)


class Receiver(socketserver.ThreadingTCPServer):
    """Answers each appendBatch with ``status`` and keeps the batches that it answered with OK.

    While a test holds ``requests``, no request is answered. With ``accepts`` all after that many batches are refused.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None, *, deflate: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self._tls = tls
        self.deflate = deflate
        self.status = OK
        self.accepts: int | None = None
        self.batches: list[list[dict[str, Any]]] = []
        self.refused = 0
        self.requests = threading.Lock()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its TLS handshake is made by the connection's own thread at the first read."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, as the agent's values want them."""
        return "127.0.0.1", self.server_address[1]

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of all acknowledged events, in the order of their arrival."""
        return [event["body"] for batch in self.batches for event in batch]


class _Connection(socketserver.StreamRequestHandler):
    server: Receiver

    def handle(self) -> None:
        """Answer requests until the peer leaves; the first carries the handshake, in its first buffer."""
        stream = _Inflated(self.rfile) if self.server.deflate else self.rfile
        packer = zlib.compressobj(1)
        handshake = b"\x00\x00\x00\x00"
        while head := stream.read(8):
            serial, count = struct.unpack(">ii", head)
            buffers = [_buffer(stream) for _ in range(count)]
            batch = fastavro.schemaless_reader(io.BytesIO(b"".join(buffers[1:])), _EVENTS, None)
            with self.server.requests:
                accepts = self.server.accepts
                status = self.server.status if accepts is None or len(self.server.batches) < accepts else FAILED
                if status == OK:
                    self.server.batches.append(list(batch))  # type: ignore[arg-type]  # fastavro types any datum
                else:
                    self.server.refused += 1
            reply = handshake + b"\x00\x00" + status
            handshake = b""
            frame = struct.pack(">iii", serial, 1, len(reply)) + reply
            if self.server.deflate:
                frame = packer.compress(frame) + packer.flush(zlib.Z_SYNC_FLUSH)
            self.wfile.write(frame)


class _Inflated:
    """The bytes inside a zlib stream, read like a buffered file."""

    def __init__(self, packed: BufferedIOBase) -> None:
        self._packed = packed
        self._unpacker = zlib.decompressobj()
        self._ready = b""

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer at the end."""
        while len(self._ready) < size and (more := self._packed.read1(65_536)):
            self._ready += self._unpacker.decompress(more)
        taken, self._ready = self._ready[:size], self._ready[size:]
        return taken


def _buffer(stream: BufferedIOBase | _Inflated) -> bytes:
    (length,) = struct.unpack(">i", stream.read(4))
    return stream.read(length)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None, *, deflate: bool = False) -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""
    with Receiver(tls, deflate=deflate) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
