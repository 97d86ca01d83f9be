"""The client's side: what real servers get from it and what it makes of their answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given

from avro_bridge.errors import CallError, FrameError, HandshakeError, ProtocolError
from avro_bridge.wire.frames import encode_frame
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import FLUME_TEXT, Status
from avro_bridge.wire.server import ServerConnection
from tests.support import avro_events
from tests.support.wire_client import ClientConnection, Reply, encode_events

LIMITS = WireLimits()


@given(avro_events.events_lists)
def test_events_are_encoded_as_fastavro_does(events: list[avro_events.Event]) -> None:
    assert encode_events(events) == avro_events.write(events)


def test_parameters_are_cut_where_flume_cuts_them() -> None:
    # Recorded from a real client: three bodies of 20,000 bytes came in buffers of 48, 7 x 8192 and 2670 bytes.
    frame = ClientConnection(LIMITS).append_batch([({}, b"x" * 20_000)] * 3)
    count, position, lengths = struct.unpack_from(">i", frame, 4)[0], 8, []
    for _ in range(count):
        lengths.append(struct.unpack_from(">i", frame, position)[0])
        position += 4 + lengths[-1]
    assert lengths == [48, *[8192] * 7, 2670]
    assert position == len(frame)


def test_a_refused_handshake_repeats_the_call_under_a_new_serial() -> None:
    client = ClientConnection(LIMITS, FLUME_TEXT.replace("Licensed", "Unknown"), first_serial=7)
    server = ServerConnection(LIMITS)
    _, refusal = server.receive(client.append({"k": "v"}, b"hello"))
    replies, again = client.receive(refusal)
    assert (replies, client.established) == ([], False)
    ((call,), _) = server.receive(again)
    assert call.serial == 8
    assert client.receive(server.reply_failed(call)) == ([Reply(7, Status.FAILED)], b"")
    assert client.established


def test_pings() -> None:
    client, server = ClientConnection(LIMITS), ServerConnection(LIMITS)
    for serial in (1, 2):
        calls, answer = server.receive(client.ping())
        assert calls == []
        assert client.receive(answer) == ([Reply(serial)], b"")


def test_a_batch_arrives_as_it_was_encoded() -> None:
    events = [({"k": "v"}, b"a"), ({}, b"b")]
    ((call,), _) = ServerConnection(LIMITS).receive(ClientConnection(LIMITS).append_batch(events))
    assert bytes(call.buffer[call.start :]) == encode_events(events)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (encode_frame(2, b"\x00" * 7), CallError),
        (encode_frame(1, b"\x06" + b"\x00" * 6), HandshakeError),
        (encode_frame(1, b""), HandshakeError),
        (encode_frame(1, b"\x00" * 4), CallError),
        (encode_frame(1, b"\x00" * 6 + b"\x07"), CallError),
        (encode_frame(1, b"\x00" * 5 + b"\x01\x02"), CallError),
        (struct.pack(">ii", 1, -1), FrameError),
    ],
)
def test_answers_that_make_no_sense(answer: bytes, error: type[ProtocolError]) -> None:
    client = ClientConnection(LIMITS)
    client.append({}, b"")
    with pytest.raises(error):
        client.receive(answer)
