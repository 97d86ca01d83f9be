"""Copies that arrive late: what a client has sent, given up, and sent again on a new connection that was faster.

::

    old connection   ──A──OK──B─────── outage ───────────────────────────────────► B arrives: drop it
    client                          gives the call up, connects anew
    new connection                                          ──B──OK──C──OK──

What the old connection still holds back is in the new one's first batch, since a client that has seen no answer begins
with what was not answered. So for each connection that may have been given up the ids of the first batches of those
that came after it are kept, until it sends its next batch or ends.

Not recognised: a late copy of what an agent with several sinks has sent again on a connection that was open before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class LateCopies:
    """The connections that may have been given up, and the ids that each may bring late."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._ids: dict[int, set[bytes]] = {}
        self._sizes: dict[int, int] = {}

    def __contains__(self, connection_id: int) -> bool:
        return connection_id in self._ids

    def watch(self, connection_id: int) -> None:
        """The connection may have been given up."""
        self._ids.setdefault(connection_id, set())

    def add(self, connection_id: int, ids: Collection[bytes], size: int) -> bool:
        """Let the watched connection be one that may bring these ids, which take ``size`` bytes of memory.

        Returns False, having kept nothing, when there is no memory for them.
        """
        if self._size + size > self._max_bytes:
            return False
        self._ids[connection_id].update(ids)
        self._sizes[connection_id] = self._sizes.get(connection_id, 0) + size
        self._size += size
        return True

    def ids(self, connection_id: int) -> Collection[bytes]:
        """The ids that the connection may bring late; none for one that is not watched."""
        return self._ids.get(connection_id, ())

    def forget(self, connection_id: int) -> None:
        """The connection lives, or has ended; one that is not watched is passed over."""
        self._ids.pop(connection_id, None)
        self._size -= self._sizes.pop(connection_id, 0)
