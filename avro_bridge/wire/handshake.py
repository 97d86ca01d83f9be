"""Avro's handshake: client and server agree on their protocols in the first request of a connection.

::

    request    clientHash fixed(16) | clientProtocol union(null, string) | serverHash fixed(16) | meta union(null, map)
    response   match enum(BOTH, CLIENT, NONE) | serverProtocol union(null, string) | serverHash union(null, fixed(16))
               | meta union(null, map)

==================  ==============  ==================  =====================================================
clientHash          clientProtocol  serverHash          answer
==================  ==============  ==================  =====================================================
known               any             this server's       BOTH, the request is processed
known               any             another             CLIENT with this server's protocol, request processed
unknown             none            any                 NONE with this server's protocol, request discarded;
                                                        the client sends it again with its protocol
unknown             usable          as above            BOTH or CLIENT; remembered if the hash is the text's
unknown             unusable        any                 HandshakeError (NONE would start an endless loop)
==================  ==============  ==================  =====================================================

Source: the Avro 1.11 specification; behaviour captured from Flume 1.9.0 and 1.11.0.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from avro_bridge.wire.avro_primitives import PrefixReader, encode_long, encode_string
from avro_bridge.wire.protocol import (
    FLUME_HASH,
    FLUME_HASHES,
    FLUME_TEXT,
    check_client_protocol,
    text_hash,
)

if TYPE_CHECKING:
    from avro_bridge.wire.limits import WireLimits

HASH_SIZE = 16
_ABSENT = encode_long(0)
_PRESENT = encode_long(1)


class Match(IntEnum):
    """How far the two sides know each other's protocol; the number is the position in Avro's enum."""

    BOTH = 0
    CLIENT = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """The handshake part of a client's request."""

    client_hash: bytes
    client_protocol: str | None
    server_hash: bytes

    def encode(self) -> bytes:
        """Return the bytes in front of the first request."""
        text = _ABSENT if self.client_protocol is None else _PRESENT + encode_string(self.client_protocol)
        # Flume's clients send an empty map as metadata, not null.
        return self.client_hash + text + self.server_hash + _PRESENT + encode_long(0)


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """The handshake part of a server's reply. Protocol and hash are None if the match is BOTH."""

    match: Match
    server_protocol: str | None = None
    server_hash: bytes | None = None

    def encode(self) -> bytes:
        """Return the bytes in front of the first reply, or the whole reply when the match is NONE."""
        text = _ABSENT if self.server_protocol is None else _PRESENT + encode_string(self.server_protocol)
        server_hash = _ABSENT if self.server_hash is None else _PRESENT + self.server_hash
        return encode_long(self.match) + text + server_hash + _ABSENT


def read_request(reader: PrefixReader, limits: WireLimits) -> HandshakeRequest:
    """Read a handshake request at the reader's position.

    Raises:
        ProtocolError: the bytes are malformed; the class is the reader's.
    """
    client_hash = reader.read_fixed(HASH_SIZE)
    text = reader.read_string(limits.max_protocol_bytes, "the client's protocol") if reader.read_branch(2) else None
    server_hash = reader.read_fixed(HASH_SIZE)
    if reader.read_branch(2):
        reader.skip_metadata(limits.max_metadata_bytes)
    return HandshakeRequest(client_hash, text, server_hash)


class KnownProtocols:
    """The client protocols that a server knows by their hash: Flume's two always, others once they were sent.

    One object may serve all connections of a server. It is not safe for use by several threads at once.

    Args:
        limits: how many are remembered, and how long their text may be.
        hashes: known from the start and never removed.
    """

    def __init__(self, limits: WireLimits, hashes: frozenset[bytes] = FLUME_HASHES) -> None:
        self._hashes = hashes
        self._limit = limits.max_remembered_protocols
        self._foreign: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        """How many protocols are remembered, not counting those known from the start."""
        return len(self._foreign)

    def answer(self, request: HandshakeRequest) -> HandshakeResponse:
        """Answer by the table at the top of this file.

        Raises:
            HandshakeError: the client's protocol cannot be served.
        """
        if not self._knows(request.client_hash):
            if request.client_protocol is None:
                return HandshakeResponse(Match.NONE, FLUME_TEXT, FLUME_HASH)
            check_client_protocol(request.client_protocol)
            # Never remember a hash that is not the text's: it could be that of a protocol which was not checked.
            if text_hash(request.client_protocol) == request.client_hash:
                self._remember(request.client_hash)
        if request.server_hash == FLUME_HASH:
            return HandshakeResponse(Match.BOTH)
        return HandshakeResponse(Match.CLIENT, FLUME_TEXT, FLUME_HASH)

    def _knows(self, client_hash: bytes) -> bool:
        if client_hash in self._foreign:
            self._foreign.move_to_end(client_hash)
            return True
        return client_hash in self._hashes

    def _remember(self, client_hash: bytes) -> None:
        self._foreign[client_hash] = None
        if len(self._foreign) > self._limit:
            self._foreign.popitem(last=False)
