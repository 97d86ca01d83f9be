"""Detects the layers of a client from its first two bytes; the table is at the top of ``layers.py``.

The ingest server detects only when it is told to, or with TLS: Flume's users expect that a client fails whose
compression differs from the server's.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from avro_bridge.errors import LayerError
from avro_bridge.wire.layers import DeflateLayer, Layer, PlainLayer, StackedLayers, TlsLayer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from avro_bridge.wire.limits import WireLimits

_MARK_SIZE = 2
_TLS_MARK = b"\x16\x03"
_ZLIB_METHOD = 8
# RFC 1950: the first two bytes, read as one big-endian number, are a multiple of 31.
_ZLIB_DIVISOR = 31


def is_tls(mark: bytes) -> bool:
    """Return whether a TLS client starts with these bytes."""
    return mark[:_MARK_SIZE] == _TLS_MARK


def is_zlib(mark: bytes) -> bool:
    """Return whether these bytes start a zlib stream: method deflate, largest window, valid header checksum."""
    return (
        mark[0] == (zlib.MAX_WBITS - 8) << 4 | _ZLIB_METHOD and int.from_bytes(mark[:_MARK_SIZE]) % _ZLIB_DIVISOR == 0
    )


class DetectedLayer:
    """Replaces itself by the layers that the client's first bytes announce.

    A plain client begins with a serial that counts its calls. It looks like another one only if it reconnects after
    some hundred million calls.

    Args:
        limits: for deflate.
        context: for TLS; without it TLS is refused.
        require_tls: refuse a client without TLS.
        allow_deflate: whether deflate may be found here.
    """

    def __init__(
        self,
        limits: WireLimits,
        context: ssl.SSLContext | None = None,
        *,
        require_tls: bool = False,
        allow_deflate: bool = True,
    ) -> None:
        self._limits = limits
        self._context = context
        self._require_tls = require_tls
        self._allow_deflate = allow_deflate
        self._undecided = b""
        self._found: Layer | None = None

    def receive(self, data: Buffer) -> Iterator[Buffer]:
        """Decide by the first two bytes, then pass everything on.

        Raises:
            LayerError: the detected layer is refused or broken.
        """
        if self._found is None:
            self._undecided += bytes(data)
            if len(self._undecided) < _MARK_SIZE:
                return
            self._found = self._choose(self._undecided[:_MARK_SIZE])
            data, self._undecided = self._undecided, b""
        yield from self._found.receive(data)

    def send(self, data: bytes) -> bytes:
        """Wrap in the detected layers.

        Raises:
            LayerError: the client has sent nothing yet, so its layers are not known.
        """
        if self._found is None:
            raise LayerError("nothing can be sent before the client's first bytes")
        return self._found.send(data)

    def pending(self) -> bytes:
        """Return what the detected layers must send."""
        return b"" if self._found is None else self._found.pending()

    def close(self) -> bytes:
        """Return the closing bytes of the detected layers."""
        return b"" if self._found is None else self._found.close()

    def _choose(self, mark: bytes) -> Layer:
        if is_tls(mark):
            if self._context is None:
                raise LayerError("the client speaks TLS where this server does not")
            inside = DetectedLayer(self._limits, allow_deflate=self._allow_deflate)
            return StackedLayers([TlsLayer(self._context), inside])
        if self._allow_deflate and is_zlib(mark):
            inside = DetectedLayer(self._limits, self._context, require_tls=self._require_tls, allow_deflate=False)
            return StackedLayers([DeflateLayer(self._limits), inside])
        if self._require_tls:
            raise LayerError("the client does not speak TLS, which this server requires")
        return PlainLayer()
