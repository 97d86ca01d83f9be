"""The errors of the bridge, in one tree.

::

    BridgeError
    ├── ConfigError                 operator   never retry    the configuration cannot be used
    ├── ProtocolError               peer       never retry    bytes that Flume never sends: close the connection
    │   ├── FrameError              peer       never retry    a frame is malformed or over a limit
    │   ├── HandshakeError          peer       never retry    the handshake is malformed or cannot be resolved
    │   ├── CallError               peer       never retry    the message name or its call metadata is malformed
    │   ├── EventError              peer       never retry    the events of a call are malformed or over a limit
    │   ├── BlockError              peer       never retry    the headers of a block of lines are no place in a file
    │   └── LayerError              peer       never retry    the compressed or encrypted stream is broken
    ├── LogError                    storage    see below
    │   ├── LogFull                 operator   retry          the cap is reached or the disk is full; recovers
    │   ├── LogWriteFailed          storage    retry          a write or sync failed; nothing of it became visible
    │   ├── LogDamaged              storage    never retry    a stored range does not match its checksum
    │   ├── LogLocked               operator   retry          another process has the log open for writing
    │   ├── LogVersion              operator   never retry    written by a newer program, or by one too old
    │   └── LogClosed               caller     never retry    used after close
    └── ReadError                   reader     see below
        ├── LogIdDiffers            reader     never retry    the offsets belong to another log
        ├── RangeBelow              reader     never retry    the range starts below what is kept
        ├── RangeAbove              reader     retry          the range ends above what is stored
        └── BadRequest              reader     never retry    the ticket or action cannot be understood

The first column says who caused the error (``storage``: the disk), the second whether a retry makes sense. ``case`` is
the stable word for metrics and for Flight errors; it never contains text from a peer.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of all errors that the bridge raises on purpose."""

    case: ClassVar[str] = "bridge"
    retry: ClassVar[bool] = False


class ConfigError(BridgeError):
    """The configuration cannot be used; the text names the file, the key and the problem."""

    case = "config"


class ProtocolError(BridgeError):
    """The peer sent what no Flume client sends. Its connection is closed; others are not affected."""

    case = "protocol"


class FrameError(ProtocolError):
    """A frame is malformed, or its announced size is over a limit."""

    case = "frame"


class HandshakeError(ProtocolError):
    """The Avro handshake is malformed, or the client's protocol lacks Flume's messages."""

    case = "handshake"


class CallError(ProtocolError):
    """The call metadata or the message name is malformed."""

    case = "call"


class EventError(ProtocolError):
    """The events of a call are malformed or over a limit.

    ``position`` is the byte of the payload at which reading stopped.
    """

    case = "events"

    def __init__(self, text: str, position: int) -> None:
        super().__init__(f"{text}, at byte {position} of the payload")
        self.position = position


class BlockError(ProtocolError):
    """The headers of a block of lines do not name a place in a file; the text names the header."""

    case = "blocks"


class LayerError(ProtocolError):
    """The deflate or TLS stream below the frames is broken."""

    case = "layer"


class LogError(BridgeError):
    """The durable log cannot do what was requested."""

    case = "log"


class LogFull(LogError):
    """The cap is reached or the disk is full. Nothing of the refused batches is stored; the log recovers by itself."""

    case = "full"
    retry = True


class LogWriteFailed(LogError):
    """A write or sync failed. Nothing of the transaction became visible."""

    case = "write"
    retry = True


class LogDamaged(LogError):
    """A stored range does not match its checksum: ``first`` to ``last`` offset, both inclusive."""

    case = "damaged"

    def __init__(self, text: str, first: int, last: int) -> None:
        super().__init__(f"offsets {first} to {last}: {text}")
        self.first = first
        self.last = last


class LogLocked(LogError):
    """Another process holds the log for writing."""

    case = "locked"
    retry = True


class LogVersion(LogError):
    """The log was written by a newer program, or by one that is too old; the text says which one to use."""

    case = "version"


class LogClosed(LogError):
    """The log was used after it was closed."""

    case = "closed"


class ReadError(BridgeError):
    """A reader requested something that this log does not have."""

    case = "read"


class LogIdDiffers(ReadError):
    """The offsets of the request belong to another log."""

    case = "log_id_differs"


class RangeBelow(ReadError):
    """The range starts below the first offset that is kept."""

    case = "range_below"


class RangeAbove(ReadError):
    """The range ends above the next offset to be stored."""

    case = "range_above"
    retry = True


class BadRequest(ReadError):
    """The ticket or the action's body cannot be understood."""

    case = "bad_request"
