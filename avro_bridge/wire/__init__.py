"""Bytes in, calls out: the protocol of Flume's Avro sink, free of sockets, clocks and logging.

Read from the bottom: ``layers`` (deflate, TLS), ``frames``, ``handshake``, ``calls``, ``events``. The compiled
kernels are in ``copying`` and ``walk``; ``compiled`` says how they are compiled and cached.
"""

from avro_bridge.wire.calls import Call, ServerConnection
from avro_bridge.wire.client import ClientConnection, Reply, encode_events
from avro_bridge.wire.compiled import precompile
from avro_bridge.wire.detection import DetectedLayer
from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.layers import DeflateLayer, Layer, PlainLayer, StackedLayers, TlsLayer
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import Status

__all__ = [
    "Call",
    "ClientConnection",
    "DeflateLayer",
    "DetectedLayer",
    "KnownProtocols",
    "Layer",
    "PlainLayer",
    "Reply",
    "ServerConnection",
    "StackedLayers",
    "Status",
    "TlsLayer",
    "WireLimits",
    "encode_events",
    "precompile",
]
