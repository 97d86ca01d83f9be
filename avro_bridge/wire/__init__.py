"""Bytes in, calls out: the protocol of Flume's Avro sink, free of sockets, clocks and logging."""

from avro_bridge.wire.calls import Call, ServerConnection
from avro_bridge.wire.compiled import precompile
from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.limits import WireLimits

__all__ = ["Call", "KnownProtocols", "ServerConnection", "WireLimits", "precompile"]
