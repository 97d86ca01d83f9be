"""The server's side of a connection: its table of states, its replies, its limits."""

from __future__ import annotations

import struct

import pytest

from avro_bridge.errors import CallError, EventError, FrameError, HandshakeError
from avro_bridge.wire.avro_primitives import encode_long, encode_string
from avro_bridge.wire.frames import FrameReader, encode_frame
from avro_bridge.wire.handshake import HandshakeRequest, KnownProtocols
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import FLUME_HASH, FLUME_TEXT, NEWER_FLUME_TEXT, Status
from avro_bridge.wire.server import Call, ServerConnection
from tests.support import avro_events
from tests.support.wire_client import ClientConnection, encode_event, encode_events

LIMITS = WireLimits()
HEADROOM = 48
GREETING = HandshakeRequest(FLUME_HASH, None, FLUME_HASH).encode()
STRANGER = HandshakeRequest(bytes(16), None, FLUME_HASH).encode()
NO_METADATA = b"\x00"


def established() -> ServerConnection:
    server = ServerConnection(LIMITS, HEADROOM)
    assert server.receive(encode_frame(1, GREETING + NO_METADATA + b"\x00")) == ([], encode_frame(1, b"\x00" * 4))
    assert server._established
    return server


def request(serial: int, name: str, *parameter: bytes, greeting: bytes = b"") -> bytes:
    return encode_frame(serial, greeting + NO_METADATA + encode_string(name), *parameter)


def payload_of(call: Call) -> bytes:
    return bytes(call.buffer[call.start :])


def reply_message(data: bytes) -> bytes:
    reader = FrameReader(LIMITS)
    reader.feed(data)
    frame = reader.next_frame()
    assert frame is not None
    assert reader.next_frame() is None
    return bytes(frame.buffer)


def test_payloads_lie_behind_the_headroom_and_can_be_written_in_front_of() -> None:
    events = [({"k": "v"}, b"body"), ({}, b"")]
    for name, parameter in (("append", encode_event(*events[0])), ("appendBatch", encode_events(events))):
        calls, replies = established().receive(request(2, name, parameter))
        assert replies == b""
        (call,) = calls
        call.buffer[call.start - HEADROOM : call.start] = b"h" * HEADROOM
        assert (call.name, call.serial, call.event_count) == (name, 2, 1 if name == "append" else 2)
        assert avro_events.read(payload_of(call)) == events[: call.event_count]


def test_pipelined_calls_are_answered_in_any_order_by_their_serials() -> None:
    server = ServerConnection(LIMITS, HEADROOM)
    stream = request(5, "append", encode_event({}, b"5"), greeting=GREETING)
    stream += b"".join(request(serial, "append", encode_event({}, b"%d" % serial)) for serial in (8, 6, 7))
    calls, _ = server.receive(stream)
    assert [call.serial for call in calls] == [5, 8, 6, 7]
    for call in reversed(calls):
        message = reply_message(server.reply_ok(call))
        assert server.reply_ok(call)[:4] == struct.pack(">i", call.serial)
        # Only the reply to the request with the handshake carries the response.
        assert message == (b"\x00" * 4 if call.serial == 5 else b"") + b"\x00\x00\x00"


def test_the_three_replies() -> None:
    server = established()
    ((call,), _) = server.receive(request(2, "append", encode_event({}, b"")))
    assert reply_message(server.reply_ok(call)) == bytes.fromhex("000000")
    assert reply_message(server.reply_failed(call)) == bytes.fromhex("000002")
    assert reply_message(server.reply_error(call, "no")) == bytes.fromhex("000100") + encode_string("no")
    assert len(server.reply_error(call, "x" * 10_000)) < 600


@pytest.mark.parametrize("greeting", [b"", GREETING])
def test_a_message_that_is_not_flumes_gets_an_error_reply(greeting: bytes) -> None:
    server = ServerConnection(LIMITS) if greeting else established()
    calls, sent = server.receive(request(9, "appendAll", b"whatever", greeting=greeting))
    assert calls == []
    assert sent[:4] == struct.pack(">i", 9)
    expected = NO_METADATA + b"\x01\x00" + encode_string("this server has no message 'appendAll'")
    assert reply_message(sent) == (bytes(4) if greeting else b"") + expected
    assert server.receive(request(10, "append", encode_event({}, b"")))[0]


def test_a_ping_on_an_established_connection_is_answered_with_nothing() -> None:
    assert established().receive(request(2, "")) == ([], encode_frame(2, b""))


def test_a_client_of_unknown_protocol_is_asked_for_it_and_its_call_discarded() -> None:
    server = ServerConnection(LIMITS)
    calls, sent = server.receive(request(1, "append", b"\xff" * 50, greeting=STRANGER))
    assert calls == []
    assert reply_message(sent)[0] == 4
    assert FLUME_TEXT.encode() in sent
    assert not server._established


def test_an_endless_stranger_is_let_go() -> None:
    server = ServerConnection(WireLimits(max_handshake_refusals=2))
    for _ in range(2):
        assert server.receive(request(1, "append", greeting=STRANGER))[1]
    with pytest.raises(HandshakeError, match="unknown hash"):
        server.receive(request(1, "append", greeting=STRANGER))


@pytest.mark.parametrize(
    "first",
    [
        bytes.fromhex("000000020000000200000008000c617070656e640000000c02026b0276000a68656c6c6f"),
        request(1, "append", encode_event({}, b"")),
        encode_frame(1, b""),
        struct.pack(">ii", 1, 0),
    ],
    ids=["captured", "built", "empty buffer", "no buffer"],
)
def test_a_first_frame_without_handshake_is_a_handshake_error(first: bytes) -> None:
    with pytest.raises(HandshakeError):
        ServerConnection(LIMITS).receive(first)


@pytest.mark.parametrize(
    ("frame", "error", "text"),
    [
        (struct.pack(">ii", 1, 0), CallError, "middle of a number"),
        (encode_frame(1, b"\x00" + encode_long(129)), CallError, "message name announces 129 bytes"),
        (encode_frame(1, b"\x00\x02\xff"), CallError, "message name is not UTF-8"),
        (encode_frame(1, encode_long(10**6) + bytes(9000)), CallError, "metadata takes more than 4096 bytes"),
        (request(1, "append"), EventError, "more items than its bytes"),
        (request(1, "append", b"\x00"), EventError, "middle of a number"),
        (request(1, "append", encode_event({}, b"a") + b"\x00"), EventError, "after the last event"),
        (request(1, "append", encode_event({}, b"a") + b"\x02\x00\x00"), EventError, "after the event"),
        (request(1, "appendBatch", encode_events([]) + b"\x00"), EventError, "after the last event"),
        (struct.pack(">ii", 1, -5), FrameError, "buffers"),
    ],
)
def test_malformed_calls(frame: bytes, error: type[Exception], text: str) -> None:
    server = established()
    with pytest.raises(error, match=text):
        server.receive(frame)
    with pytest.raises(error, match=text):
        server.receive(b"")
    assert server.error is not None


def test_an_empty_batch_is_a_call_like_any_other() -> None:
    ((call,), _) = established().receive(request(2, "appendBatch", encode_events([])))
    assert (call.event_count, payload_of(call)) == (0, b"\x00")


def test_what_came_before_the_fault_is_given_out_before_it_is_raised() -> None:
    for good in (request(2, "append", encode_event({}, b"kept")), request(2, "")):
        server = established()
        calls, sent = server.receive(good + struct.pack(">ii", 3, -1) + good)
        assert bool(calls) != bool(sent)
        assert isinstance(server.error, FrameError)
        with pytest.raises(FrameError):
            server.receive(good)


def test_values_may_lie_across_buffers() -> None:
    call = request(2, "appendBatch", encode_events([({"key": "value"}, b"body" * 50)]))
    message = NO_METADATA + encode_string("appendBatch") + encode_events([({"key": "value"}, b"body" * 50)])
    single = encode_frame(2, *(message[each : each + 1] for each in range(len(message))))
    padded = encode_frame(2, b"", message[:3], b"", b"", message[3:], b"")
    for frame in (call, single, padded):
        ((got,), _) = established().receive(frame)
        assert payload_of(got) == encode_events([({"key": "value"}, b"body" * 50)])


def test_the_limit_of_events_holds_for_calls() -> None:
    server = ServerConnection(WireLimits(max_events=2))
    client = ClientConnection(LIMITS)
    assert server.receive(client.append_batch([({}, b"")] * 2))[0]
    with pytest.raises(EventError, match="max_events"):
        server.receive(client.append_batch([({}, b"")] * 3))


def test_newer_clients_learn_the_servers_protocol() -> None:
    server = ServerConnection(LIMITS)
    client = ClientConnection(LIMITS, NEWER_FLUME_TEXT)
    ((call,), sent) = server.receive(client.append({}, b"hello"))
    assert sent == b""
    assert client.server_hash != FLUME_HASH
    ((reply,), again) = client.receive(server.reply_ok(call))
    assert (reply.status, again, client.server_hash) == (Status.OK, b"", FLUME_HASH)
    # Flume keeps the hash for its next connection to the same address.
    later = ClientConnection(LIMITS, NEWER_FLUME_TEXT, server_hash=client.server_hash)
    ((call,), _) = ServerConnection(LIMITS).receive(later.append({}, b"hello"))
    assert call.reply_prefix == bytes(4)


def test_connections_of_one_server_share_what_they_learn() -> None:
    known = KnownProtocols(LIMITS)
    text = FLUME_TEXT.replace("Licensed", "Unknown")
    server, client = ServerConnection(LIMITS, 0, known), ClientConnection(LIMITS, text)
    _, refusal = server.receive(client.append({}, b"hello"))
    _, again = client.receive(refusal)
    ((call,), _) = server.receive(again)
    assert client.receive(server.reply_ok(call))[0][0].serial == 1
    ((second,), sent) = ServerConnection(LIMITS, 0, known).receive(ClientConnection(LIMITS, text).append({}, b""))
    assert (second.event_count, sent) == (1, b"")
