"""Delayed originals: batches whose resend, on a new connection, was stored first.

::

    old connection   ──A──OK──B─────── outage ──────────────────────────────► B arrives: drop it
    client                          gives the call up, connects again
    new connection                                      ──B──OK──C──OK──

A client that has seen no answer begins its new connection with what was not answered. So whatever the old connection
still delays is in the *first* batch of the new one. For each connection that its client may have given up, this class
keeps the event ids of the first batches of later connections, until the old connection sends its next batch or ends.

Not recognised: a delayed original that an agent with several sinks sent again on a connection that was already open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class LateCopies:
    """The connections that their clients may have given up, and the event ids that each may bring late.

    Args:
        max_bytes: memory that the ids of all connections may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._ids: dict[int, set[bytes]] = {}
        self._sizes: dict[int, int] = {}

    def __contains__(self, connection_id: int) -> bool:
        return connection_id in self._ids

    def watch(self, connection_id: int) -> None:
        """Note that the client of this connection may have given it up."""
        self._ids.setdefault(connection_id, set())

    def add(self, connection_id: int, ids: Collection[bytes], size: int) -> bool:
        """Note that a watched connection may bring these ids, which take ``size`` bytes of memory.

        Returns:
            False, having kept nothing, when the memory for ids is used up.
        """
        if self._size + size > self._max_bytes:
            return False
        self._ids[connection_id].update(ids)
        self._sizes[connection_id] = self._sizes.get(connection_id, 0) + size
        self._size += size
        return True

    def ids(self, connection_id: int) -> Collection[bytes]:
        """Return the ids that the connection may bring late; none for one that is not watched."""
        return self._ids.get(connection_id, ())

    def forget(self, connection_id: int) -> None:
        """Stop watching a connection, because it is alive or has ended; one that is not watched is ignored."""
        self._ids.pop(connection_id, None)
        self._size -= self._sizes.pop(connection_id, 0)
