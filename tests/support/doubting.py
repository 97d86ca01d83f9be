"""A log with its doubts, without the writer's thread: for tests where connections are numbers and ids are letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avro_bridge.log.dedup.suspects import Doubts
from tests.support.log_kit import bodies, identified

if TYPE_CHECKING:
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch

SECOND_US = 1_000_000


class Bridge:
    """What the writer does with doubts, without its thread: compare, append, tell."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.doubts = Doubts(log)

    def send(self, ids: str, connection_id: int, received_us: int = SECOND_US) -> str:
        """Send one event for each letter; return the letters that were stored."""
        return self.store(identified(list(ids), connection_id=connection_id, received_us=received_us))

    def store(self, batch: PendingBatch) -> str:
        batch = self.doubts.compare(batch)
        self.log.append([batch], settled=self.doubts.settled)
        self.doubts.settled.clear()
        self.doubts.stored(batch)
        return b"".join(bodies(batch.buffer[batch.start :])).decode() if batch.count else ""

    def open(self, connection_id: int, peer: str = "agent") -> None:
        self.doubts.opened(connection_id, peer)

    def lose(self, connection_id: int) -> None:
        self.doubts.lost(connection_id)

    def recorded(self) -> set[int]:
        return {each.connection_id for each in self.log.doubt_records()}
