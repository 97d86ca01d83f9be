"""Layers between the socket and the frames: deflate, TLS, and both in either order.

Captured from Flume 1.9.0 and 1.11.0; the first bytes on the wire tell which layers a client uses::

    plain                        00 ...                the serial of a young connection
    deflate                      78 xx                 zlib: one stream for each direction of a connection, a sync
                                                       flush (00 00 ff ff) after every write, frames inside
    TLS                          16 03                 a handshake record; frames inside
    both, Flume 1.9              16 03                 deflate inside of TLS
    both, Flume 1.10 and 1.11    78 xx                 TLS inside of deflate

A client that closes may send zlib's end block; the block and everything behind it are ignored.

A layer turns bytes from the wire into pieces of bounded size, since a compressed kilobyte can be a megabyte of blank
lines. So it returns an iterator: run through it to the end and process each piece. Bytes that a layer itself must send
(TLS does) are in :meth:`Layer.pending`, also after an error: TLS tells the peer the reason.
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

# A few lines that are alike compress better than any sane limit, and one MiB harms nobody.
_RATIO_FREE_BYTES = 2**20
_TLS_READ_SIZE = 64 * 1024


class Layer(Protocol):
    """One step between the wire and the frames, for both directions of one connection."""

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Unwrap bytes from the wire; yield their contents in pieces of bounded size.

        Nothing happens before the caller iterates. ``data`` must not change until the end, and each piece is valid
        until the next one.

        Raises:
            LayerError: the stream is broken; close the connection after sending :meth:`pending`.
        """

    def send(self, data: bytes) -> bytes:
        """Wrap bytes and return what to write to the wire."""

    def pending(self) -> bytes:
        """Return bytes that the layer itself must send; empty at the second call."""

    def close(self) -> bytes:
        """Return the bytes that end the layer on the wire. Nothing can be sent afterwards."""


class PlainLayer:
    """No layer at all."""

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Yield the bytes unchanged, as one piece and without a copy."""
        yield data

    def send(self, data: bytes) -> bytes:
        """Return the bytes unchanged."""
        return data

    def pending(self) -> bytes:
        """Return nothing."""
        return b""

    def close(self) -> bytes:
        """Return nothing."""
        return b""


class DeflateLayer:
    """zlib in both directions, as ``compression-type = deflate`` does it.

    Args:
        limits: ``max_inflated_bytes`` bounds a piece, ``max_inflate_ratio`` the whole connection.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._inflater = zlib.decompressobj()
        # Replies have a few bytes, so the cheapest level is good enough.
        self._deflater = zlib.compressobj(zlib.Z_BEST_SPEED)
        self._received = 0
        self._inflated = 0
        self._closed = False

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Inflate; a piece has at most ``max_inflated_bytes``.

        Raises:
            LayerError: the bytes are not zlib, or the ratio is over its limit.
        """
        rest: memoryview | bytes = memoryview(data).cast("B")
        self._received += len(rest)
        # After a full piece the inflater may hold more bytes, even when no input is left.
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
        """Deflate and flush, so that the peer can read everything at once."""
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def pending(self) -> bytes:
        """Return nothing: this layer sends nothing by itself."""
        return b""

    def close(self) -> bytes:
        """Return the end block and its checksum."""
        if self._closed:
            return b""
        self._closed = True
        return self._deflater.flush(zlib.Z_FINISH)


class TlsLayer:
    """TLS over memory instead of a socket.

    Flume's client sends no certificate and no server name. Flume 1.9 fails with TLS 1.3 on newer Javas: keep 1.2
    enabled.

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
                # The peer's closing alert reads as nothing, or as an error when both sides have sent one.
                while piece := self._object.read(_TLS_READ_SIZE):
                    yield piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return
        except ssl.SSLError as error:
            raise LayerError(f"TLS: {error.reason or error}") from error

    def send(self, data: bytes) -> bytes:
        """Encrypt. Before the handshake is done, keep the data and return what the handshake must send.

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
        """Return what the handshake, a key update or an alert must send."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """Return the closing alert, if the handshake was done."""
        if self._established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                # The peer's own closing alert has not arrived, which is fine; or the connection has failed already.
                pass
        return self._outgoing.read()

    def _shake_hands(self) -> bool:
        """Continue the handshake; once it is done, encrypt the waiting data. Return whether it is done."""
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
    """Several layers, the one next to the wire first.

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
        """Return what each layer must send, wrapped in the layers outside of it."""
        # From the inside out: wrapping may make an outer layer send more.
        return b"".join(
            self._wrap(depth, said)
            for depth in reversed(range(len(self._layers)))
            if (said := self._layers[depth].pending())
        )

    def close(self) -> bytes:
        """Return the closing bytes of all layers, the innermost first."""
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
        """Wrap bytes of the layer at ``depth`` in the layers outside of it."""
        for layer in reversed(self._layers[:depth]):
            data = layer.send(data)
        return data
