"""What may lie between the socket and the frames: deflate, TLS, and both in either order.

Captured from Flume 1.9.0 and 1.11.0; the first byte on the wire tells which it is::

    plain                        00 ...                the serial of a young connection
    deflate                      78 xx                 zlib: one stream for each direction of a connection, a sync
                                                       flush (00 00 ff ff) after every write, frames inside
    TLS                          16 03                 a handshake record; frames inside
    both, Flume 1.9              16 03                 deflate inside of TLS
    both, Flume 1.10 and 1.11    78 xx                 TLS inside of deflate

A client that closes may add zlib's end block; that, and whatever follows it, is ignored.

A layer turns bytes from the wire into pieces of bounded size (a compressed kilobyte can be a megabyte of blank lines),
so it returns an iterator: go through it to the end, feed each piece on. What has to be sent meanwhile (TLS speaks for
itself) is in :meth:`Layer.pending`, also after an error: TLS tells the peer why.
"""

from __future__ import annotations

import ssl
import zlib
from typing import TYPE_CHECKING, Protocol

from avro_bridge.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from avro_bridge.wire.limits import WireLimits

_RATIO_FREE_BYTES = 2**20
_TLS_READ_SIZE = 64 * 1024


class Layer(Protocol):
    """One step between the wire and the frames; used by one connection for both directions."""

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Bytes from the wire, in; what they carry, in pieces of bounded size, out.

        Nothing happens before the iterator is gone through; ``data`` must stay as it is until then, and each piece is
        good until the next.

        Raises:
            LayerError: the stream is broken; close the connection after sending :meth:`pending`.
        """

    def send(self, data: bytes) -> bytes:
        """Bytes to carry, in; bytes for the wire, out."""

    def pending(self) -> bytes:
        """Bytes for the wire that nobody asked for; empty the second time."""

    def close(self) -> bytes:
        """The layer's farewell for the wire; nothing can be sent afterwards."""


class PlainLayer:
    """No layer at all."""

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """The bytes themselves, as one piece and without a copy."""
        yield data

    def send(self, data: bytes) -> bytes:
        """The bytes themselves."""
        return data

    def pending(self) -> bytes:
        """Nothing."""
        return b""

    def close(self) -> bytes:
        """Nothing."""
        return b""


class DeflateLayer:
    """zlib in both directions, as ``compression-type = deflate`` does it.

    Args:
        limits: ``max_inflated_bytes`` bounds a piece, ``max_inflate_ratio`` the whole connection.
        level: of what is sent; replies are a few bytes, so the cheapest is as good.
    """

    def __init__(self, limits: WireLimits, level: int = 1) -> None:
        self._limits = limits
        self._inflater = zlib.decompressobj()
        self._deflater = zlib.compressobj(level)
        self._received = 0
        self._inflated = 0
        self._closed = False

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Inflate; a piece has at most ``max_inflated_bytes``.

        Raises:
            LayerError: this is not zlib, or the ratio is over its limit.
        """
        rest: memoryview | bytes = memoryview(data).cast("B")
        self._received += len(rest)
        # A full piece may have left bytes inside of the inflater, so an empty rest does not mean that it is empty.
        full = True
        while (rest or full) and not self._inflater.eof:
            try:
                piece = self._inflater.decompress(rest, self._limits.max_inflated_bytes)
            except zlib.error as error:
                raise LayerError(f"the compressed stream is broken: {error}") from error
            self._inflated += len(piece)
            if self._inflated > _RATIO_FREE_BYTES + self._received * self._limits.max_inflate_ratio:
                raise LayerError(f"{self._received} compressed bytes became more than {self._inflated}")
            full = len(piece) == self._limits.max_inflated_bytes
            rest = self._inflater.unconsumed_tail
            if piece:
                yield piece

    def send(self, data: bytes) -> bytes:
        """Deflate and flush, so that the peer can read all of it at once."""
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def pending(self) -> bytes:
        """Nothing: this layer never speaks for itself."""
        return b""

    def close(self) -> bytes:
        """The end block and its checksum."""
        if self._closed:
            return b""
        self._closed = True
        return self._deflater.flush(zlib.Z_FINISH)


class TlsLayer:
    """TLS over memory instead of a socket.

    Flume's client sends no certificate and no server name, and 1.9 fails with TLS 1.3 on newer Javas: leave 1.2 on.

    Args:
        context: certificates and versions.
        server_side: False for a client, as tests and load generators need it.
        server_hostname: what a client checks the certificate for.
    """

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool = True, server_hostname: str | None = None
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._established = False
        self._waiting = bytearray()

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Decrypt; a piece has at most 64 KiB.

        Raises:
            LayerError: the handshake fails or a record is broken.
        """
        self._incoming.write(data)
        try:
            if self._shake_hands():
                # The peer's goodbye reads as nothing, or as an error when both have said it.
                while piece := self._object.read(_TLS_READ_SIZE):
                    yield piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return
        except ssl.SSLError as error:
            raise LayerError(f"TLS: {error.reason or error}") from error

    def send(self, data: bytes) -> bytes:
        """Encrypt. Before the handshake is done this keeps the data and says what the handshake needs.

        Raises:
            LayerError: the handshake fails, or the layer was closed.
        """
        self._waiting += data
        try:
            self._shake_hands()
        except ssl.SSLError as error:
            raise LayerError(f"TLS: {error.reason or error}") from error
        return self._outgoing.read()

    def pending(self) -> bytes:
        """What the handshake, a key update or an alert needs."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """The closing alert, when the handshake got so far."""
        if self._established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                # The peer's own goodbye is not waited for; after an error there is nothing to say.
                pass
        return self._outgoing.read()

    def _shake_hands(self) -> bool:
        """Go on with the handshake and, once it is done, encrypt what waited; True when it is done."""
        if not self._established:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return False
            self._established = True
        if self._waiting:
            self._object.write(self._waiting)
            self._waiting.clear()
        return True


class StackedLayers:
    """Layers on top of each other, the one next to the wire first.

    ``StackedLayers([tls, deflate])`` is Flume 1.9 with both, ``StackedLayers([deflate, tls])`` is 1.10 and 1.11.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = tuple(layers)

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Unwrap through all layers, piece by piece.

        Raises:
            LayerError: one of them is broken.
        """
        return self._unwrap(0, data)

    def send(self, data: bytes) -> bytes:
        """Wrap through all layers."""
        return self._wrap(len(self._layers), data)

    def pending(self) -> bytes:
        """What any layer has to say, wrapped in those outside of it."""
        # The innermost may leave something in those outside of it, so it comes first.
        return b"".join(
            self._wrap(depth, said)
            for depth in reversed(range(len(self._layers)))
            if (said := self._layers[depth].pending())
        )

    def close(self) -> bytes:
        """The farewells, the innermost first."""
        return b"".join(
            self._wrap(depth, said)
            for depth in reversed(range(len(self._layers)))
            if (said := self._layers[depth].close())
        )

    def _unwrap(self, depth: int, data: Buffer) -> Iterator[Buffer]:
        if depth == len(self._layers):
            yield data
            return
        for piece in self._layers[depth].receive(data):
            yield from self._unwrap(depth + 1, piece)

    def _wrap(self, depth: int, data: bytes) -> bytes:
        """Wrap what the layer at ``depth`` says in those outside of it."""
        for layer in reversed(self._layers[:depth]):
            data = layer.send(data)
        return data
