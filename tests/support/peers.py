"""A blocking client of the bridge: one connection of a Flume sink, under the test's control."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

from avro_bridge.wire.layers import PlainLayer
from avro_bridge.wire.limits import WireLimits
from tests.support.wire_client import ClientConnection, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from avro_bridge.wire.layers import Layer

TIMEOUT_S = 30.0
RECEIVE_BYTES = 65_536


class Peer:
    """One connection. Every wait has a time limit, so that a silent bridge fails the test."""

    def __init__(self, port: int, layer: Layer | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.wire = ClientConnection(WireLimits())
        self._layer = layer or PlainLayer()

    def send(self, frame: bytes) -> None:
        """Send a frame without waiting for its reply."""
        self.socket.sendall(self._layer.send(frame))

    def replies(self, count: int = 1) -> list[Reply]:
        """Wait for replies.

        Raises:
            ConnectionError: the bridge closed first.
        """
        found: list[Reply] = []
        while len(found) < count:
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionError(f"closed after {len(found)} of {count} replies")
            for piece in self._layer.receive(data):
                replies, answer = self.wire.receive(piece)
                found += replies
                if answer:
                    self.send(answer)
            pending = self._layer.pending()
            if pending:
                self.socket.sendall(pending)
        return found

    def store(self, events: Iterable[tuple[Mapping[str, str], bytes]]) -> Reply:
        """Send one batch and wait for its reply."""
        self.send(self.wire.append_batch(events))
        return self.replies()[0]

    def is_closed(self) -> bool:
        """Read until the bridge closes; false when it sends anything else."""
        try:
            return self.socket.recv(RECEIVE_BYTES) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def lines(first: int, count: int) -> list[tuple[dict[str, str], bytes]]:
    """Return events without headers and with numbered bodies."""
    return [({}, b"line %d" % number) for number in range(first, first + count)]


def lines_with_ids(first: int, count: int) -> list[tuple[dict[str, str], bytes]]:
    """Return events with numbered bodies and an id header, as UUIDInterceptor adds it."""
    return [({"id": f"id-{number:08d}"}, b"line %d" % number) for number in range(first, first + count)]
