"""The proxy that the tests of lost answers lean on: it loses what it is told to, and changes nothing else."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from avro_bridge.wire.frames import encode_frame
from tests.support.lossy_proxy import losing

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 10.0
REPLY = encode_frame(7, b"", b"two buffers", b"\x00" * 70_000)


@contextmanager
def answering(requests: list[bytes]) -> Iterator[int]:
    """Answer each piece of 4 bytes with the same reply, cut in the middle; keep the pieces; give the port."""

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                while piece := stream.read(4):
                    if piece == b"quit":
                        return
                    requests.append(piece)
                    connection.sendall(REPLY[:9])
                    connection.sendall(REPLY[9:])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with socket.create_connection(listener.getsockname(), TIMEOUT_S) as last:
                last.sendall(b"quit")
            thread.join()


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and return its reply, as much of it as comes before the end."""
    connection.sendall(request)
    received = b""
    while len(received) < len(REPLY) and (piece := connection.recv(len(REPLY))):
        received += piece
    return received


def test_the_replies_named_are_lost_with_their_connection_and_no_others() -> None:
    requests: list[bytes] = []
    with answering(requests) as upstream, losing(upstream, 2, 3) as proxy:
        replies = []
        for sent in ((b"aaaa", b"bbbb"), (b"cccc",), (b"dddd", b"eeee")):
            with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as connection:
                replies += [ask(connection, request) for request in sent]
        assert replies == [REPLY, b"", b"", REPLY, REPLY]
        assert proxy.swallowed == [2, 3]
    assert requests == [b"aaaa", b"bbbb", b"cccc", b"dddd", b"eeee"]


def test_nobody_behind_it_looks_like_a_closed_connection(port: int) -> None:
    with losing(port) as proxy, socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as connection:
        try:
            received = connection.recv(1)
        except ConnectionResetError:
            received = b""
        assert received == b""


def test_a_reply_that_the_server_does_not_finish_is_not_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, losing(listener.getsockname()[1]) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as client:
            server, _ = listener.accept()
            with server:
                server.sendall(REPLY[: len(REPLY) // 2])
            assert client.recv(len(REPLY)) == b""
        assert proxy.swallowed == []
