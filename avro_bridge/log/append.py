"""Appends batches inside a transaction: gives offsets, drops lines that are stored already, keeps the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avro_bridge.errors import LogDamaged
from avro_bridge.log import places, record
from avro_bridge.log.blocks import without_stored
from avro_bridge.log.dedup import records

if TYPE_CHECKING:
    from avro_bridge.log.environment import Environment, Transaction
    from avro_bridge.log.record import FilePlace, PendingBatch


class Append:
    """Puts the batches of one transaction, and adds up what it put."""

    def __init__(self, environment: Environment, transaction: Transaction, next_offset: int) -> None:
        self._environment = environment
        self._transaction = transaction
        self.next_offset = next_offset
        self.batches = 0
        self.payload_bytes = 0
        self.duplicates = 0

    def put(self, batch: PendingBatch) -> int | None:
        """Put what is new of a batch; return its first offset, or None if nothing is."""
        first = self.next_offset
        self.duplicates += batch.duplicates
        if batch.place is None:
            if batch.count:
                self._put(batch)
                records.put(self._environment, self._transaction, batch, first)
        else:
            pieces = without_stored(batch, batch.place, self._gaps(batch.place))
            self.duplicates += batch.count - sum(each.count for each in pieces)
            for piece in pieces:
                self._put(piece)
        return first if self.next_offset > first else None

    def _put(self, batch: PendingBatch) -> None:
        first, environment = self.next_offset, self._environment
        if batch.place is not None:
            places.add(environment, self._transaction, batch.place, first)
        with record.pack_in_place(batch, first) as value:
            # With ``append`` LMDB refuses a key that is not the largest, so a wrong next offset can never overwrite a
            # batch.
            if not self._transaction.put(record.pack_key(first), value, db=environment.batches, append=True):
                raise LogDamaged("a stored batch lies at or above the next offset", first, first)
        self.next_offset += batch.count
        self.batches += 1
        self.payload_bytes += len(batch.buffer) - batch.start

    def _gaps(self, block: FilePlace) -> list[tuple[int, int]]:
        return places.gaps(self._environment, self._transaction, block.place)
