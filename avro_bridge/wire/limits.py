"""Limits on what one peer may cost the bridge, each with its default.

Flume's own server has a single rule: it refuses a frame whose buffer list alone would take a tenth of the Java heap.
Here each quantity that a peer chooses has a limit, checked on the announced number before memory is allocated. Real
agents send batches of 100 to 10,000 lines, 8 KiB buffers and a handful of headers; the defaults allow ten times that or
more.

``avro_bridge/config.py`` takes the defaults of the bridge's configuration file from here, so each stands in one place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from headrace.common.bridge_defaults import FRAME_BYTES

MAX_FRAME_BYTES = 2**30
"""Arrow takes event positions as 32-bit offsets, so no payload may come near 2 GiB."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Limits for one connection; every value is a positive number.

    Raises:
        ValueError: a limit is not positive, or ``max_frame_bytes`` is above 1 GiB.
    """

    max_frame_bytes: int = FRAME_BYTES
    """Message bytes of one frame: the sum of its buffers."""
    max_buffers: int = 16 * 1024
    """Buffers of one frame. Flume cuts at 8 KiB, so 32 MiB need 4,096; small buffers are legal but pointless."""
    max_events: int = 1_000_000
    """Events of one call."""
    max_header_bytes: int = 64 * 1024
    """Bytes of one event's header map, as encoded."""
    max_headers: int = 256
    """Entries of one event's header map."""
    max_metadata_bytes: int = 4 * 1024
    """Bytes of the metadata maps that Avro allows in a handshake and a call; Flume's are always empty."""
    max_name_bytes: int = 128
    """Bytes of a message name; Flume's longest has 11."""
    max_protocol_bytes: int = 64 * 1024
    """Bytes of the protocol text in a handshake; Flume's has 1,334."""
    max_remembered_protocols: int = 64
    """Protocols of other clients that are remembered by their hash; the least recently used one makes room."""
    max_handshake_refusals: int = 8
    """Handshakes of one connection that are answered NONE; an honest client needs one."""
    max_inflated_bytes: int = 256 * 1024
    """Largest piece that a layer passes on at once. More input waits in the layer and is not refused."""
    max_inflate_ratio: int = 1_100
    """Inflated bytes for each compressed byte of a connection, after the first MiB. Deflate itself ends near 1,032,
    and a file of blank lines comes close to that, so the default refuses no honest client."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ValueError(f"{field.name} must be at least 1, not {value}")
        if self.max_frame_bytes > MAX_FRAME_BYTES:
            raise ValueError(f"max_frame_bytes must be at most {MAX_FRAME_BYTES}, not {self.max_frame_bytes}")
