"""Helpers for tests of the log: batches, an environment whose writes fail on demand, ways to damage a log."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import fastavro
import lmdb

from avro_bridge.errors import LogFull
from avro_bridge.log.environment import Environment
from avro_bridge.log.record import HEADER_SIZE, PayloadKind, PendingBatch, pack_key
from tests.support.avro_events import SCHEMA, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avro_bridge.errors import BridgeError
    from avro_bridge.log.folder_lock import FolderLock
    from avro_bridge.log.log import Log
    from avro_bridge.log.read_only import LogView

MIB = 2**20


def pending(
    payload: bytes,
    count: int,
    *,
    kind: PayloadKind = PayloadKind.LINES,
    connection_id: int = 1,
    received_us: int = 1_000_000,
) -> PendingBatch:
    """Return a batch with the headroom that the log needs."""
    return PendingBatch(bytearray(HEADER_SIZE) + payload, HEADER_SIZE, count, kind, connection_id, received_us)


def lines(count: int, size: int = 100, *, connection_id: int = 1, received_us: int = 1_000_000) -> PendingBatch:
    """Return a batch of ``count`` events without structure, ``size`` bytes in total."""
    return pending(bytes(size), count, connection_id=connection_id, received_us=received_us)


def bodies(payload: bytes | bytearray | memoryview) -> list[bytes]:
    """Return the bodies of an Avro array of events, read by fastavro."""
    events = fastavro.schemaless_reader(io.BytesIO(bytes(payload)), SCHEMA, None)
    assert isinstance(events, list)
    return [each["body"] for each in events]


def identified(ids: Sequence[str], *, connection_id: int = 1, received_us: int = 1_000_000) -> PendingBatch:
    """Return a batch of one event for each id; the body is the id too, an empty id is no id."""
    payload = write([({"id": each} if each else {}, each.encode()) for each in ids])
    return pending(payload, len(ids), kind=PayloadKind.EVENTS, connection_id=connection_id, received_us=received_us)


def fill(log: Log, group: Sequence[PendingBatch], most: int = 10_000) -> None:
    """Append the group again and again until the log is full."""
    for _group in range(most):
        try:
            log.append(group)
        except LogFull:
            return
    raise AssertionError(f"not full after {most} groups")


def stored(view: LogView, start: int | None = None, end: int | None = None) -> list[tuple[int, int, bytes]]:
    """Return first offset, count and payload of each batch of a range, or of all."""
    first = view.first_offset if start is None else start
    with view.read(first, view.next_offset if end is None else end) as reader:
        return [(each.first_offset, each.count, bytes(each.payload)) for each in reader]


class FaultyEnvironment(Environment):
    """An environment in which the next write with a given label fails once, right before its commit."""

    def __init__(self, folder: Path, *, map_bytes: int, lock: FolderLock | None) -> None:
        self.faults: dict[str, list[Exception]] = {}
        self.reached: list[str] = []
        super().__init__(folder, map_bytes=map_bytes, lock=lock)

    def fail_next(self, label: str, error: Exception | None = None) -> None:
        """Let the next write with ``label`` fail; several calls let several writes fail, in order."""
        self.faults.setdefault(label, []).append(error or lmdb.Error("mdb_txn_commit: Input/output error"))

    def before_commit(self, label: str) -> None:
        self.reached.append(label)
        if self.faults.get(label):
            raise self.faults[label].pop(0)


class Answers:
    """Collects the results of batches; each call of :meth:`done` returns the callback of one more batch."""

    def __init__(self) -> None:
        self.given: dict[int, tuple[int | None, BridgeError | None]] = {}
        self._numbers = itertools.count()

    def done(self) -> Callable[[int | None, BridgeError | None], None]:
        """Return the ``done`` of one more batch, numbered from 0."""
        number = next(self._numbers)

        def note(place: int | None, error: BridgeError | None) -> None:
            assert number not in self.given, "answered twice"
            self.given[number] = place, error

        return note

    def places(self) -> list[int | None]:
        """Return the first offsets in the order of the calls; fails if a batch got an error."""
        assert not [error for _place, error in self.given.values() if error is not None]
        return [self.given[number][0] for number in sorted(self.given)]


def edit_batch(folder: Path, first_offset: int, change: Callable[[bytes], bytes | None]) -> None:
    """Replace the value of a stored batch directly in the file; None deletes it. The log must be closed."""
    with lmdb.open(str(folder), max_dbs=8, map_size=64 * MIB) as environment:
        batches = environment.open_db(b"batches", create=False)
        with environment.begin(write=True) as transaction:
            value = transaction.get(pack_key(first_offset), db=batches)
            assert value is not None
            changed = change(value)
            if changed is None:
                transaction.delete(pack_key(first_offset), db=batches)
            else:
                transaction.put(pack_key(first_offset), changed, db=batches)


def edit_meta(folder: Path, name: bytes, value: bytes) -> None:
    """Replace an entry of the table ``meta`` directly in the file. The log must be closed."""
    with lmdb.open(str(folder), max_dbs=8, map_size=64 * MIB) as environment:
        meta = environment.open_db(b"meta", create=False)
        with environment.begin(write=True) as transaction:
            transaction.put(name, value, db=meta)
