"""A log with its suspects, without the writer's thread. In the tests, connections are numbers and ids are letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avro_bridge.log.dedup.suspects import Suspects
from tests.support.log_helpers import bodies, identified

if TYPE_CHECKING:
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch

SECOND_US = 1_000_000


class Bridge:
    """Does what the writer does for each batch, without its thread: compare, append, report."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.suspects = Suspects(log.newest_batches, log.settings)

    def send(self, ids: str, connection_id: int, received_us: int = SECOND_US) -> str:
        """Send one event for each letter; return the letters that were stored."""
        return self.store(identified(list(ids), connection_id=connection_id, received_us=received_us))

    def store(self, batch: PendingBatch) -> str:
        batch = self.suspects.drop_resent(batch)
        self.log.append([batch], forget_connections=self.suspects.forgettable)
        self.suspects.forgettable.clear()
        self.suspects.batch_stored(batch)
        return b"".join(bodies(batch.buffer[batch.start :])).decode() if batch.count else ""

    def open(self, connection_id: int, peer: str = "agent") -> None:
        self.suspects.connection_opened(connection_id, peer)

    def lose(self, connection_id: int) -> None:
        self.suspects.connection_lost(connection_id)

    def recorded(self) -> set[int]:
        return {each.connection_id for each in self.log.newest_batches.all()}
