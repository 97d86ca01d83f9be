"""Every recorded conversation, replayed against both sides of the wire."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.layers import DeflateLayer
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import FLUME_HASHES, Status
from avro_bridge.wire.server import ServerConnection
from tests.support.conversations import byte_by_byte, random_cuts, recorded
from tests.support.wire_client import ClientConnection, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from avro_bridge.wire.server import Call
    from tests.support.conversations import Conversation

LIMITS = WireLimits()
HEADROOM = 48
CONVERSATIONS = recorded()
PAYLOADS = {
    1: bytes.fromhex("0202026b0276000a68656c6c6f00"),
    2: bytes.fromhex("0600046161000462620004636300"),
    3: bytes.fromhex("0202026b0276000a68656c6c6f00"),
    4: bytes.fromhex("0202026b0276000a68656c6c6f00"),
}
"""What each call carries, by the recorded serial; ``append`` as an array of one."""


class Server:
    """Answers as the recorded stub did, with the real server side; notes what it was sent."""

    def __init__(self, conversation: Conversation) -> None:
        hashes = frozenset[bytes]() if conversation.name == "none" else FLUME_HASHES
        self.connection = ServerConnection(LIMITS, HEADROOM, KnownProtocols(LIMITS, hashes))
        self.fails = conversation.name == "err"
        self.calls: list[Call] = []
        self.sent = b""

    def receive(self, data: bytes) -> None:
        calls, replies = self.connection.receive(data)
        self.sent += replies
        for call in calls:
            self.calls.append(call)
            if self.fails:
                self.sent += self.connection.reply_error(call, "java.lang.RuntimeException: boom")
            elif call.serial == 4:
                self.sent += self.connection.reply_failed(call)
            else:
                self.sent += self.connection.reply_ok(call)


def inflated(pieces: Iterable[bytes]) -> bytes:
    layer = DeflateLayer(LIMITS)
    return b"".join(bytes(part) for piece in pieces for part in layer.receive(piece))


def plain(conversation: Conversation) -> tuple[bytes, bytes]:
    """Both directions without compression."""
    client, server = conversation.from_client, conversation.to_client
    if conversation.name == "deflate":
        return inflated(client), inflated(server)
    return b"".join(client), b"".join(server)


CUTS: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "whole": lambda data: [data],
    "byte by byte": byte_by_byte,
    **{f"random {seed}": functools.partial(random_cuts, seed=seed) for seed in range(25)},
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_server_side_answers_as_recorded(name: str, cut: str) -> None:
    from_client, to_client = plain(CONVERSATIONS[name])
    server = Server(CONVERSATIONS[name])
    for piece in CUTS[cut](from_client):
        server.receive(piece)
    assert server.sent == to_client
    assert not server.connection.in_frame
    for call in server.calls:
        original = 1 if name == "none" else call.serial
        assert bytes(call.buffer[call.start :]) == PAYLOADS[original]
        assert call.start >= HEADROOM
        assert call.name == ("appendBatch" if original == 2 else "append")
        assert call.event_count == (3 if original == 2 else 1)
    assert len(server.calls) == (1 if name in ("none", "err") else to_client.count(b"\x00\x00\x00\x01\x00\x00\x00"))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_bytes_behind_the_conversation_wait_for_more(name: str) -> None:
    from_client, to_client = plain(CONVERSATIONS[name])
    server = Server(CONVERSATIONS[name])
    server.receive(from_client + b"\x00\x00\x00")
    assert server.sent == to_client
    assert server.connection.in_frame


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_that_stops_anywhere_is_incomplete_not_wrong(name: str) -> None:
    from_client, to_client = plain(CONVERSATIONS[name])
    for end in range(len(from_client)):
        server = Server(CONVERSATIONS[name])
        server.receive(from_client[:end])
        assert to_client.startswith(server.sent)
        assert server.sent != to_client or name == "deflate"
        server.receive(from_client[end:])
        assert server.sent == to_client


def calls_of(client: ClientConnection) -> list[Callable[[], bytes]]:
    def hello() -> bytes:
        return client.append({"k": "v"}, b"hello")

    return [hello, lambda: client.append_batch([({}, b"aa"), ({}, b"bb"), ({}, b"cc")]), hello, hello]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_client_side_speaks_as_recorded(name: str) -> None:
    turns = CONVERSATIONS[name].turns
    deflate = DeflateLayer(LIMITS)
    other = DeflateLayer(LIMITS)
    client = ClientConnection(LIMITS)
    calls = iter(calls_of(client))
    replies: list[Reply] = []
    written = b""
    for is_client, data in turns:
        if name == "deflate":
            data = b"".join(bytes(piece) for piece in (deflate if is_client else other).receive(data))
        if is_client and data:
            assert (written or next(calls)()) == data
        elif not is_client:
            got, written = client.receive(data)
            replies += got
    if name == "err":
        assert replies == [Reply(1, error="java.lang.RuntimeException: boom")]
    else:
        expected = [Reply(1, Status.OK), Reply(2, Status.OK), Reply(3, Status.OK), Reply(4, Status.FAILED)]
        assert replies == expected[: len(replies)]
        assert replies


@pytest.mark.parametrize("cut", CUTS)
def test_the_client_side_reads_replies_however_they_are_cut(cut: str) -> None:
    client = ClientConnection(LIMITS)
    for call in calls_of(client):
        call()
    _, to_client = plain(CONVERSATIONS["both"])
    replies = [reply for piece in CUTS[cut](to_client) for reply in client.receive(piece)[0]]
    assert [reply.status for reply in replies] == [Status.OK, Status.OK, Status.OK, Status.FAILED]


def test_the_end_block_of_a_closing_client_is_tolerated() -> None:
    layer = DeflateLayer(LIMITS)
    *frames, farewell = CONVERSATIONS["deflate"].from_client
    for data in frames:
        assert b"".join(bytes(piece) for piece in layer.receive(data))
    assert list(layer.receive(farewell)) == []
    assert list(layer.receive(b"anything")) == []
