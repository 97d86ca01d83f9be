"""The durable side of doubt: for each connection, its newest stored batch.

The table ``doubts`` maps a connection id (eight bytes, big-endian) to::

    byte   0               8        12             20
           +---------------+--------+--------------+---------------------------------------
           | first_offset  | count  | stored_us    | ids: (u16 length, bytes) per event ...
           | u64           | u32    | i64          | only once the batch itself is deleted
           +---------------+--------+--------------+---------------------------------------

little-endian, written in the transaction that stores the batch. The ids are left behind when retention deletes a batch
that is still in doubt; before that they can be read from the batch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from avro_bridge.log.environment import Environment, Transaction
    from avro_bridge.log.record import PendingBatch

_RECORD = struct.Struct("<QIq")
_ID_LENGTH = struct.Struct("<H")
_KEY = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class DoubtRecord:
    """The newest stored batch of one connection. ``ids`` is None while the batch itself is in the log."""

    connection_id: int
    first_offset: int
    count: int
    stored_us: int
    ids: frozenset[bytes] | None = None


def put_batch(environment: Environment, transaction: Transaction, batch: PendingBatch, first_offset: int) -> None:
    """Record ``batch`` as the newest one of its connection."""
    value = _RECORD.pack(first_offset, batch.count, batch.received_us)
    transaction.put(_KEY.pack(batch.connection_id), value, db=environment.doubts)


def put_ids(environment: Environment, transaction: Transaction, doubt: DoubtRecord, ids: Iterable[bytes]) -> None:
    """Leave the ids of a batch behind that is about to be deleted."""
    value = bytearray(_RECORD.pack(doubt.first_offset, doubt.count, doubt.stored_us))
    for each in ids:
        value += _ID_LENGTH.pack(len(each)) + each
    transaction.put(_KEY.pack(doubt.connection_id), value, db=environment.doubts)


def get(environment: Environment, transaction: Transaction, connection_id: int) -> DoubtRecord | None:
    """Return the record of a connection, if there is one."""
    value = transaction.get(_KEY.pack(connection_id), db=environment.doubts)
    return None if value is None else _unpack(connection_id, value)


def get_all(environment: Environment, transaction: Transaction) -> Iterator[DoubtRecord]:
    """Yield every record."""
    with transaction.cursor(environment.doubts) as cursor:
        for key, value in cursor:
            yield _unpack(_KEY.unpack(key)[0], value)


def delete(environment: Environment, transaction: Transaction, connection_ids: Iterable[int]) -> None:
    """Forget connections; unknown ones are passed over."""
    for each in connection_ids:
        transaction.delete(_KEY.pack(each), db=environment.doubts)


def _unpack(connection_id: int, value: memoryview) -> DoubtRecord:
    first_offset, count, stored_us = _RECORD.unpack_from(value)
    ids = frozenset(_ids(value)) if len(value) > _RECORD.size else None
    return DoubtRecord(connection_id, first_offset, count, stored_us, ids)


def _ids(value: memoryview) -> Iterator[bytes]:
    at = _RECORD.size
    while at < len(value):
        begin = at + _ID_LENGTH.size
        at = begin + _ID_LENGTH.unpack_from(value, at)[0]
        yield bytes(value[begin:at])
