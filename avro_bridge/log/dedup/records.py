"""Newest-batch records: for each connection, which of its batches was stored last.

Flume may send the newest batch of a connection again, so this is what a bridge must still know after a restart. The
table ``doubts`` maps a connection id (eight bytes, big-endian) to::

    byte   0               8        12             20
           +---------------+--------+--------------+---------------------------------------
           | first_offset  | count  | stored_us    | ids: (u16 length, bytes) per event ...
           | u64           | u32    | i64          | only once the batch itself is deleted
           +---------------+--------+--------------+---------------------------------------

All numbers are little-endian. The transaction that stores a batch also writes its record. The ids of the batch's events
are not copied then, because they can be read from the batch; retention copies them before it deletes the batch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.errors import EventError, LogError
from avro_bridge.log.dedup.event_ids import event_ids
from avro_bridge.log.record import PayloadKind, pack_key, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from avro_bridge.log.environment import Environment, Transaction
    from avro_bridge.log.record import PendingBatch

_RECORD = struct.Struct("<QIq")
_ID_LENGTH = struct.Struct("<H")
_KEY = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class NewestBatchRecord:
    """The batch of one connection that was stored last."""

    connection_id: int
    first_offset: int
    count: int
    stored_us: int
    ids: frozenset[bytes] | None = None
    """The ids of its events; None while the batch itself is in the log."""


class NewestBatches:
    """Read access to the records and to the ids of the batches they name. Safe for use by several threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def all(self) -> list[NewestBatchRecord]:
        """Return every record."""
        with self._environment.read() as transaction, transaction.cursor(self._environment.newest_batches) as cursor:
            return [_unpack(_KEY.unpack(key)[0], value) for key, value in cursor]

    def of(self, connection_id: int) -> NewestBatchRecord | None:
        """Return the record of a connection, or None if it has none."""
        with self._environment.read() as transaction:
            return _get(self._environment, transaction, connection_id)

    def ids(self, record: NewestBatchRecord, header: str) -> frozenset[bytes]:
        """Return the event ids of the batch that ``record`` names.

        They come from the batch, or from the record once retention has deleted the batch. The set is empty if the batch
        is damaged or its events have no ``header``.
        """
        if record.ids is not None:
            return record.ids
        with self._environment.read() as transaction:
            return _stored_ids(self._environment, transaction, record, header)


def put(environment: Environment, transaction: Transaction, batch: PendingBatch, first_offset: int) -> None:
    """Record ``batch`` as the newest one of its connection."""
    value = _RECORD.pack(first_offset, batch.count, batch.received_us)
    transaction.put(_KEY.pack(batch.connection_id), value, db=environment.newest_batches)


def keep_ids(
    environment: Environment, transaction: Transaction, connection_id: int, first_offset: int, header: str
) -> None:
    """Copy the event ids of a batch into its record, right before the batch is deleted.

    Does nothing unless the batch at ``first_offset`` is the newest one of its connection.
    """
    record = _get(environment, transaction, connection_id)
    if record is None or record.first_offset != first_offset:
        return
    value = bytearray(_RECORD.pack(record.first_offset, record.count, record.stored_us))
    for each in _stored_ids(environment, transaction, record, header):
        value += _ID_LENGTH.pack(len(each)) + each
    transaction.put(_KEY.pack(connection_id), value, db=environment.newest_batches)


def delete(environment: Environment, transaction: Transaction, connection_ids: Iterable[int]) -> None:
    """Delete the records of these connections; one without a record is ignored."""
    for each in connection_ids:
        transaction.delete(_KEY.pack(each), db=environment.newest_batches)


def _get(environment: Environment, transaction: Transaction, connection_id: int) -> NewestBatchRecord | None:
    value = transaction.get(_KEY.pack(connection_id), db=environment.newest_batches)
    return None if value is None else _unpack(connection_id, value)


def _stored_ids(
    environment: Environment, transaction: Transaction, record: NewestBatchRecord, header: str
) -> frozenset[bytes]:
    value = transaction.get(pack_key(record.first_offset), db=environment.batches)
    if value is None or not header:
        return frozenset()
    try:
        batch = unpack(record.first_offset, value, record.first_offset + record.count)
        if batch.kind is not PayloadKind.EVENTS:
            return frozenset()
        found = event_ids(batch.payload, batch.count, header)
    except (LogError, EventError):
        # The damage is reported where the batch is read. Here it only means that its resend is not recognised.
        return frozenset()
    return frozenset(each for each in found if each is not None)


def _unpack(connection_id: int, value: memoryview) -> NewestBatchRecord:
    first_offset, count, stored_us = _RECORD.unpack_from(value)
    # No ids and an empty set of ids look the same. Both read as None; the batch is deleted, so its ids are empty again.
    ids = frozenset(_unpack_ids(value)) if len(value) > _RECORD.size else None
    return NewestBatchRecord(connection_id, first_offset, count, stored_us, ids)


def _unpack_ids(value: memoryview) -> Iterator[bytes]:
    position = _RECORD.size
    while position < len(value):
        start = position + _ID_LENGTH.size
        position = start + _ID_LENGTH.unpack_from(value, position)[0]
        yield bytes(value[start:position])
