"""A TCP proxy between agent and bridge that loses answers and delays requests, as a network does that breaks off.

::

    agent ──requests, byte for byte──► proxy ──────────────────────────────────► bridge
    agent ◄──replies, whole frames───  proxy  ◄──reply n is lost: both sides are closed

    after hold(): requests of the connections that are open wait here until release(), also when the agent has left

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
        self._released = threading.Event()
        self._held: frozenset[socket.socket] = frozenset()
        self.open: set[socket.socket] = set()
        """The sockets to the bridge."""
        self.swallowed: list[int] = []
        """The numbers of the replies that were lost."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def hold(self) -> None:
        """Keep back what comes from now on over the connections that are open. Once only."""
        self._held = frozenset(self.open)

    def release(self) -> None:
        """Let go of what was kept back."""
        self._released.set()

    def wait_to_pass(self, upstream: socket.socket) -> None:
        """Wait as long as requests to that socket are to be kept back."""
        if upstream in self._held:
            self._released.wait()

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
            requests = threading.Thread(target=self._relay_requests, args=(upstream,))
            self.server.open.add(upstream)
            requests.start()
            try:
                while (frame := _read_frame(replies)) and not self.server.loses_next():
                    self.request.sendall(frame)
            except ConnectionError:
                pass
            finally:
                self.server.open.remove(upstream)
                _shut(self.request)
                _shut(upstream)
                requests.join()

    def _relay_requests(self, upstream: socket.socket) -> None:
        try:
            while piece := self.request.recv(PIECE_BYTES):
                self.server.wait_to_pass(upstream)
                upstream.sendall(piece)
        except ConnectionError:
            pass
        finally:
            _shut(upstream)


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
            proxy.release()
            proxy.shutdown()
            thread.join()
