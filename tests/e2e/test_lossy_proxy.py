"""The proxy that other tests lean on: it loses and delays what it is told to, and changes nothing else."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from avro_bridge.wire.frames import encode_frame
from tests.support.lossy_proxy import POLL_S, losing
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 10.0
REPLY = encode_frame(7, b"", b"two buffers", b"\x00" * 70_000)


class Answering(socketserver.ThreadingTCPServer):
    """Answers each piece of 4 bytes with the same reply, cut in the middle, and keeps the pieces."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.requests: list[bytes] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Connection(socketserver.StreamRequestHandler):
    server: Answering

    def handle(self) -> None:
        while piece := self.rfile.read(4):
            self.server.requests.append(piece)
            self.wfile.write(REPLY[:9])
            self.wfile.write(REPLY[9:])


@contextmanager
def answering() -> Iterator[Answering]:
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), TIMEOUT_S)


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and return its reply, as much of it as comes before the end."""
    connection.sendall(request)
    received = b""
    while len(received) < len(REPLY) and (piece := connection.recv(len(REPLY))):
        received += piece
    return received


def test_the_replies_named_are_lost_with_their_connection_and_no_others() -> None:
    with answering() as server, losing(server.port, 2, 3) as proxy:
        replies = []
        for sent in ((b"aaaa", b"bbbb"), (b"cccc",), (b"dddd", b"eeee")):
            with connect(proxy.port) as connection:
                replies += [ask(connection, request) for request in sent]
        assert replies == [REPLY, b"", b"", REPLY, REPLY]
        assert proxy.swallowed == [2, 3]
    assert server.requests == [b"aaaa", b"bbbb", b"cccc", b"dddd", b"eeee"]


def test_requests_that_are_held_arrive_after_newer_ones_and_after_their_sender_has_left() -> None:
    with answering() as server, losing(server.port) as proxy:
        with connect(proxy.port) as old:
            assert ask(old, b"aaaa") == REPLY
            proxy.hold()
            old.sendall(b"late")
        with connect(proxy.port) as new:
            assert ask(new, b"bbbb") == REPLY
        assert server.requests == [b"aaaa", b"bbbb"]
        proxy.release()
        wait_until(lambda: len(server.requests) == 3, TIMEOUT_S, "the late request")
        assert server.requests[2] == b"late"


def test_nobody_behind_it_looks_like_a_closed_connection(port: int) -> None:
    with losing(port) as proxy, connect(proxy.port) as connection:
        try:
            received = connection.recv(1)
        except ConnectionResetError:
            received = b""
        assert received == b""


def test_a_reply_that_the_server_does_not_finish_is_not_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, losing(listener.getsockname()[1]) as proxy:
        with connect(proxy.port) as client:
            server, _ = listener.accept()
            with server:
                server.sendall(REPLY[: len(REPLY) // 2])
            assert client.recv(len(REPLY)) == b""
        assert proxy.swallowed == []
