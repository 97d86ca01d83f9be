"""A TCP proxy between agent and bridge that loses some of the bridge's answers, as a network that breaks off does.

::

    agent ──requests, byte for byte──► proxy ──────────────────────────────────► bridge
    agent ◄──replies, whole frames───  proxy  ◄──reply n is lost: both sides are closed

A reply is counted when it has arrived here whole, so what it acknowledges is on the bridge's disk. Only plain
connections can be looked into: no TLS, no deflate.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import struct
import threading
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 65_536
CONNECT_TIMEOUT_S = 10.0
POLL_S = 0.05
_HEAD = struct.Struct(">iI")
_LENGTH = struct.Struct(">I")


class LossyProxy(socketserver.ThreadingTCPServer):
    """Relays to port ``upstream`` of this machine and loses the replies whose numbers are in ``lost``.

    Replies are numbered from 1 over all connections. Closing waits for the connections: end the client first.
    """

    allow_reuse_address = True

    def __init__(self, upstream: int, lost: frozenset[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = upstream
        self.lost = lost
        self._numbers = itertools.count(1)
        self.swallowed: list[int] = []
        """The numbers of the replies that were lost."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def loses_next(self) -> bool:
        """Count one more reply and tell whether it is to be lost."""
        number = next(self._numbers)
        if number in self.lost:
            self.swallowed.append(number)
        return number in self.lost


class _Connection(socketserver.BaseRequestHandler):
    server: LossyProxy
    request: socket.socket

    def handle(self) -> None:
        """Relay until one of both sides ends, or a reply is lost."""
        try:
            upstream = socket.create_connection(("127.0.0.1", self.server.upstream), CONNECT_TIMEOUT_S)
        except OSError:
            return
        upstream.settimeout(None)
        with upstream, upstream.makefile("rb") as replies:
            requests = threading.Thread(target=_relay, args=(self.request, upstream))
            requests.start()
            try:
                while (frame := _read_frame(replies)) and not self.server.loses_next():
                    self.request.sendall(frame)
            except ConnectionError:
                pass
            finally:
                _shut(self.request)
                _shut(upstream)
                requests.join()


def _relay(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
    except ConnectionError:
        pass
    finally:
        _shut(target)


def _read_frame(stream: BinaryIO) -> bytes:
    """Return the next frame as it came; nothing at the end, also in the middle of a frame."""
    try:
        parts = [_read(stream, _HEAD.size)]
        for _ in range(_HEAD.unpack(parts[0])[1]):
            length = _read(stream, _LENGTH.size)
            parts += (length, _read(stream, _LENGTH.unpack(length)[0]))
    except EOFError:
        return b""
    return b"".join(parts)


def _read(stream: BinaryIO, size: int) -> bytes:
    piece = stream.read(size)
    if len(piece) < size:
        raise EOFError
    return piece


def _shut(side: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side may have done it already
        side.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def losing(upstream: int, *lost: int) -> Iterator[LossyProxy]:
    """Run such a proxy in front of a port for the length of a block."""
    with LossyProxy(upstream, frozenset(lost)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
