"""The server's side of one connection: received bytes in; calls and immediate replies out.

A message, captured from Flume 1.9.0 and 1.11.0 (primitives: ``avro_primitives.py``, frames: ``frames.py``)::

    request   [handshake request] | metadata map | name string | parameter
    reply     [handshake response] | metadata map | 00 status                    status: 00 OK, 02 FAILED, 04 UNKNOWN
              [handshake response] | metadata map | 01 00 string                 the call failed as a whole
              handshake response                                                 to a ping, and whenever it says NONE

The parts in brackets are only in the first request that is answered BOTH or CLIENT, and in its reply:

============  =======================================  ============  ==============================================
state         a frame arrives                          next          returned
============  =======================================  ============  ==============================================
new           handshake of a known or usable client    established   the call, its reply will carry the response
new           handshake of an unknown client           new           bytes: NONE; the call in the frame is discarded
new           no readable handshake                    failed        HandshakeError
established   ``append``, ``appendBatch``              established   the call
established   empty name (a ping), another name        established   bytes: an empty reply, an error reply
any           malformed, over a limit                  failed        a ProtocolError
failed        anything                                 failed        the same ProtocolError again
============  =======================================  ============  ==============================================

The first frame of a connection can lack the handshake, because Flume's client may reconnect internally just as it
writes. It recovers from a closed connection, so this is an error like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.errors import CallError, EventError, HandshakeError, ProtocolError
from avro_bridge.wire.avro_primitives import PrefixReader, encode_long, encode_string
from avro_bridge.wire.events import count_events
from avro_bridge.wire.frames import Frame, FrameReader, encode_frame
from avro_bridge.wire.handshake import KnownProtocols, Match, read_request
from avro_bridge.wire.protocol import APPEND, APPEND_BATCH, Status

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from avro_bridge.wire.limits import WireLimits

_NO_METADATA = encode_long(0)
_ARRAY_OF_ONE = 0x02
_ARRAY_END = 0x00
_IS_VALUE = b"\x00"
_IS_ERROR = b"\x01"
_ERROR_IS_STRING = encode_long(0)
_MAX_ERROR_CHARACTERS = 500


@dataclass(slots=True)
class Call:
    """One ``append`` or ``appendBatch`` with valid events. Each call must be answered once.

    ``buffer[start:]`` is an Avro array of ``event_count`` events, also for ``append``; at least the connection's
    headroom is free in front of ``start``.
    """

    serial: int
    name: str
    buffer: bytearray
    start: int
    event_count: int
    reply_prefix: bytes = b""
    """The handshake response, if this call's request carried the handshake."""


class ServerConnection:
    """Decodes the requests of one Flume client and encodes the replies.

    Calls may be answered in any order: the client matches replies by their serial.

    Args:
        limits: what the peer may send.
        headroom: free bytes in front of each payload.
        protocols: the known hashes, shared by the connections of a server; by default for this connection only.
    """

    def __init__(self, limits: WireLimits, headroom: int = 0, protocols: KnownProtocols | None = None) -> None:
        self._limits = limits
        self._protocols = KnownProtocols(limits) if protocols is None else protocols
        self._frames = FrameReader(limits, headroom)
        self._established = False
        self._refusals = 0
        self.error: ProtocolError | None = None
        """Why the connection cannot go on. Close it after the calls returned before are answered."""

    @property
    def in_frame(self) -> bool:
        """Whether the received bytes end inside a frame."""
        return self._frames.in_frame

    def receive(self, data: Buffer) -> tuple[list[Call], bytes]:
        """Process received bytes.

        Returns:
            The calls that are complete now, and bytes to send at once. Both may be empty.

        Raises:
            ProtocolError: the bytes are malformed or over a limit. If ``data`` has valid calls before them, those are
                returned first, with :attr:`error` set, and the next call raises.
        """
        if self.error is not None:
            raise self.error
        self._frames.feed(data)
        calls: list[Call] = []
        replies: list[bytes] = []
        try:
            while (frame := self._frames.next_frame()) is not None:
                outcome = self._process(frame)
                if isinstance(outcome, Call):
                    calls.append(outcome)
                else:
                    replies.append(outcome)
        except ProtocolError as error:
            self.error = error
            if not calls and not replies:
                raise
        return calls, b"".join(replies)

    def reply_ok(self, call: Call) -> bytes:
        """Return the reply that acknowledges: from now on the bridge is responsible for the events."""
        return _reply(call.serial, call.reply_prefix, _IS_VALUE + encode_long(Status.OK))

    def reply_failed(self, call: Call) -> bytes:
        """Return the reply that refuses for now: Flume keeps the events, waits and sends them again."""
        return _reply(call.serial, call.reply_prefix, _IS_VALUE + encode_long(Status.FAILED))

    def reply_error(self, call: Call, text: str) -> bytes:
        """Return the reply that refuses with a text, which Flume logs; the text is cut after 500 characters."""
        return _reply(call.serial, call.reply_prefix, _error(text))

    def _process(self, frame: Frame) -> Call | bytes:
        reader = PrefixReader(frame.buffer, frame.start, CallError)
        prefix = b""
        if not self._established:
            hello = PrefixReader(frame.buffer, frame.start, HandshakeError)
            response = self._protocols.answer(read_request(hello, self._limits))
            prefix = response.encode()
            if response.match is Match.NONE:
                return self._refuse(frame.serial, prefix)
            self._established = True
            reader.position = hello.position
        reader.skip_metadata(self._limits.max_metadata_bytes)
        name = reader.read_string(self._limits.max_name_bytes, "the message name")
        if name in (APPEND, APPEND_BATCH):
            return self._call(frame, reader.position, name, prefix)
        if not name:
            return encode_frame(frame.serial, prefix)
        return _reply(frame.serial, prefix, _error(f"this server has no message {name!r}"))

    def _refuse(self, serial: int, response: bytes) -> bytes:
        self._refusals += 1
        if self._refusals > self._limits.max_handshake_refusals:
            raise HandshakeError("the client keeps sending an unknown hash without its protocol")
        return encode_frame(serial, response)

    def _call(self, frame: Frame, start: int, name: str, prefix: bytes) -> Call:
        if name == APPEND:
            # Turn the event into an array of one. The count overwrites the last letter of the name in front of it.
            start -= 1
            frame.buffer[start] = _ARRAY_OF_ONE
            frame.buffer.append(_ARRAY_END)
        with memoryview(frame.buffer)[start:] as payload:
            count = count_events(payload, self._limits)
        if name == APPEND and count != 1:
            # Bytes behind the event were read as more of the array.
            raise EventError("bytes follow after the event", 0)
        return Call(frame.serial, name, frame.buffer, start, count, prefix)


def _reply(serial: int, prefix: bytes, outcome: bytes) -> bytes:
    return encode_frame(serial, prefix + _NO_METADATA + outcome)


def _error(text: str) -> bytes:
    return _IS_ERROR + _ERROR_IS_STRING + encode_string(text[:_MAX_ERROR_CHARACTERS])
