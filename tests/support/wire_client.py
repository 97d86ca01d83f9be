"""The client's side of one connection, as Flume's sink behaves: for tests, load generators and benchmarks.

It writes the same bytes as Flume's client: a handshake only in front of the first call, metadata as empty maps,
parameters cut every 8,192 bytes, serials counting from 1 (captured from Flume 1.9.0 and 1.11.0).

============  =====================================  ============  ==================================================
state         what happens                           next          effect
============  =====================================  ============  ==================================================
new           a call                                 greeting      it carries the handshake, without protocol text
greeting      another call                           greeting      sent without handshake, in the hope of a match
greeting      reply BOTH or CLIENT                   established   the reply is given out
greeting      reply NONE                             greeting      the call is sent again, with the protocol text
established   a call, a reply                        established
============  =====================================  ============  ==================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.errors import CallError, HandshakeError
from avro_bridge.wire.avro_primitives import PrefixReader, encode_bytes, encode_long, encode_string
from avro_bridge.wire.frames import FLUME_BUFFER_SIZE, Frame, FrameReader, encode_frame
from avro_bridge.wire.handshake import HASH_SIZE, HandshakeRequest, HandshakeResponse, Match
from avro_bridge.wire.protocol import APPEND, APPEND_BATCH, FLUME_TEXT, Status, text_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Buffer

    from avro_bridge.wire.limits import WireLimits

_NO_METADATA = encode_long(0)
_BLOCKS_END = encode_long(0)
_PING = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one call: a status, or the text of an error, or neither for a ping."""

    serial: int
    """Of the call as it was first sent."""
    status: Status | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    first_serial: int
    name: str
    parameter: bytes
    greets: bool


def read_response(reader: PrefixReader, limits: WireLimits) -> HandshakeResponse:
    """Read a handshake response at the reader's position.

    Raises:
        ProtocolError: the bytes are malformed; the class is the reader's.
    """
    match = Match(reader.read_branch(len(Match)))
    text = reader.read_string(limits.max_protocol_bytes, "the server's protocol") if reader.read_branch(2) else None
    server_hash = reader.read_fixed(HASH_SIZE) if reader.read_branch(2) else None
    if reader.read_branch(2):
        reader.skip_metadata(limits.max_metadata_bytes)
    return HandshakeResponse(match, text, server_hash)


def encode_event(headers: Mapping[str, str], body: bytes) -> bytes:
    """One AvroFlumeEvent."""
    entries = b"".join(encode_string(key) + encode_string(value) for key, value in headers.items())
    block = encode_long(len(headers)) + entries if headers else b""
    return block + _BLOCKS_END + encode_bytes(body)


def encode_events(events: Iterable[tuple[Mapping[str, str], bytes]]) -> bytes:
    """An array of events in one block, as Java writes it."""
    encoded = [encode_event(headers, body) for headers, body in events]
    block = encode_long(len(encoded)) + b"".join(encoded) if encoded else b""
    return block + _BLOCKS_END


class ClientConnection:
    """Encodes the frames of calls and decodes the replies.

    Args:
        limits: what the server may cost.
        protocol_text: the protocol this client claims to speak.
        server_hash: the protocol it believes the server to speak; its own by default.
        first_serial: Flume's client goes on counting when it reconnects, so a connection need not start at 1.
    """

    def __init__(
        self,
        limits: WireLimits,
        protocol_text: str = FLUME_TEXT,
        server_hash: bytes | None = None,
        first_serial: int = 1,
    ) -> None:
        self._limits = limits
        self._protocol_text = protocol_text
        self._client_hash = text_hash(protocol_text)
        self.server_hash = server_hash or self._client_hash
        """As the server last said it; Flume remembers it for later connections to the same address."""
        self._serial = first_serial
        self._frames = FrameReader(limits)
        self._pending: dict[int, _Pending] = {}
        self._greeted = False
        self.established = False
        """Whether the server knows this client's protocol."""

    def append(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The frame of a call with one event."""
        return self._call(APPEND, encode_event(headers, body))

    def append_batch(self, events: Iterable[tuple[Mapping[str, str], bytes]]) -> bytes:
        """The frame of a call with many events."""
        return self._call(APPEND_BATCH, encode_events(events))

    def ping(self) -> bytes:
        """The frame of a call without a name: only the handshake is wanted."""
        return self._call(_PING, b"")

    def receive(self, data: Buffer) -> tuple[list[Reply], bytes]:
        """Take bytes as they come from the server.

        Returns:
            The replies that are now complete, and bytes to send at once (both may be empty).

        Raises:
            ProtocolError: the server's bytes are malformed, over a limit, or answer no call.
        """
        self._frames.feed(data)
        replies: list[Reply] = []
        again: list[bytes] = []
        while (frame := self._frames.next_frame()) is not None:
            outcome = self._process(frame)
            if isinstance(outcome, Reply):
                replies.append(outcome)
            else:
                again.append(outcome)
        return replies, b"".join(again)

    def _call(self, name: str, parameter: bytes, *, with_text: bool = False, first_serial: int | None = None) -> bytes:
        serial = self._serial
        self._serial += 1
        greets = with_text or not self._greeted
        self._greeted = True
        origin = serial if first_serial is None else first_serial
        self._pending[serial] = _Pending(origin, name, parameter, greets)
        text = self._protocol_text if with_text else None
        greeting = HandshakeRequest(self._client_hash, text, self.server_hash).encode() if greets else b""
        cuts = range(0, len(parameter), FLUME_BUFFER_SIZE)
        buffers = [parameter[cut : cut + FLUME_BUFFER_SIZE] for cut in cuts]
        return encode_frame(serial, greeting + _NO_METADATA + encode_string(name), *buffers)

    def _process(self, frame: Frame) -> Reply | bytes:
        pending = self._pending.pop(frame.serial, None)
        if pending is None:
            raise CallError(f"a reply carries serial {frame.serial}, which no call waits for")
        reader = PrefixReader(frame.buffer, frame.start, CallError)
        if pending.greets:
            hello = PrefixReader(frame.buffer, frame.start, HandshakeError)
            response = read_response(hello, self._limits)
            reader.position = hello.position
            self.server_hash = response.server_hash or self.server_hash
            if response.match is Match.NONE:
                return self._call(pending.name, pending.parameter, with_text=True, first_serial=pending.first_serial)
            self.established = True
        if pending.name == _PING:
            return Reply(pending.first_serial)
        reader.skip_metadata(self._limits.max_metadata_bytes)
        if reader.read_fixed(1) == b"\x00":
            return Reply(pending.first_serial, status=Status(reader.read_branch(len(Status))))
        reader.read_branch(1)
        return Reply(pending.first_serial, error=reader.read_string(self._limits.max_frame_bytes, "the error"))
