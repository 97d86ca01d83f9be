"""Which stored batches may come again, and recognising their events when they do.

A batch is *in doubt* while it is stored, its OK was written, and nothing has proved that the OK arrived. Flume sends
one batch at a time on a connection and waits for the answer, so the next batch on the same connection is the proof.
The newest stored batch of every connection is recorded by the transaction that stores it. Nothing else is done until
one of these turns it into a *suspect*::

    event                            suspects                        why
    -------------------------------  ------------------------------  -------------------------------------------------
    connection lost                  its newest batch                the OK may have been lost with it
    the bridge starts                every recorded batch            all connections were lost
    first batch of a new connection  the newest batch of each other  half-open TCP: the client gave a connection up
                                     connection from the same host   that still looks alive here

Only a suspect's ids are read out of the log, and only while there is a suspect are the ids of incoming batches looked
at, by their hashes first: an event whose id a suspect has is dropped and counted. A suspect ends when

- its connection was alive after all: a later batch arrives on it (one more of its batches stays suspect, since it may
  have been sent before the client gave up),
- all of its events came again and each connection that brought some has sent a later batch,
- it expires, or the memory for ids runs out (the oldest goes first).

The opposite order, in which the batch comes again before it comes, is seen to in late.py.

A client that sends the next batch before the answer to the last one is protected for its newest batch only. Events
without an id are never compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from avro_bridge.log.dedup.event_ids import batch_ids, sorted_hashes, without_duplicates
from avro_bridge.log.dedup.late_copies import LateCopies
from avro_bridge.log.record import PayloadKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avro_bridge.log.dedup.records import DoubtRecord
    from avro_bridge.log.log import Log
    from avro_bridge.log.record import PendingBatch

# What CPython spends on a bytes object and its places in a set and a dict, beside the text, and two hashes.
_BYTES_PER_ID: Final = 196
_SWEEPS_PER_EXPIRY: Final = 10


class _Suspect:
    """A batch that may come again."""

    __slots__ = ("carriers", "hashes", "ids", "record", "size", "unseen")

    def __init__(self, record: DoubtRecord, ids: frozenset[bytes]) -> None:
        self.record = record
        self.ids = ids
        self.hashes = sorted_hashes(ids)
        self.unseen = set(ids)
        """The ids that have not come again yet."""
        self.carriers: set[int] = set()
        """The connections that brought some again and have not sent a later batch."""
        self.size = _memory_of(ids)


class Doubts:
    """The connections, the suspects, and the ids of the suspects. Belongs to the thread that appends to the log.

    The constructor reads back what an earlier life of the bridge left.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._header = log.settings.id_header
        self._expiry_us = int(log.settings.doubt_expiry_s * 1_000_000)
        self._next_sweep_us = 0
        self._peers: dict[int, str] = {}
        self._fresh: set[int] = set()
        """Connections that have not sent a batch."""
        self._watched = LateCopies(log.settings.doubt_max_bytes)
        """Living connections whose next batch will be suspect too, and what it may bring late."""
        self._first: tuple[int, frozenset[bytes]] | None = None
        """Connection and ids of the batch compared last, if it is a first one: it goes alone, so there is but one."""
        self._suspects: dict[int, _Suspect] = {}
        self._owners: dict[bytes, int] = {}
        """The suspect (by its connection) that has an id."""
        self._hashes: NDArray[np.int64] | None = None
        """Of all ids of all suspects, in order; None when it has to be put together anew."""
        self._carried: dict[int, set[int]] = {}
        """The suspects whose events a connection has brought again."""
        self._size = 0
        self.settled: set[int] = set()
        """Connections whose record may go. The next append deletes it, before it records that append's own batches."""
        self.evicted = 0
        """Suspects, and first batches, forgotten for want of memory."""
        for record in sorted(log.doubt_records(), key=_stored_us):
            self._suspect(record)

    @property
    def suspects(self) -> int:
        """How many batches may come again; ids are compared while this is not 0."""
        return len(self._suspects)

    def opened(self, connection_id: int, peer: str) -> None:
        """A connection from the host ``peer`` was opened."""
        self._peers[connection_id] = peer
        self._fresh.add(connection_id)

    def lost(self, connection_id: int) -> None:
        """A connection ended, however it ended: only the client knows whether it has read the last OK."""
        self._peers.pop(connection_id, None)
        self._fresh.discard(connection_id)
        self._watched.forget(connection_id)
        for owner in self._carried.pop(connection_id, ()):
            suspect = self._suspects[owner]
            suspect.carriers.discard(connection_id)
            suspect.unseen = set(suspect.ids)
        self._suspect_newest(connection_id)

    def goes_alone(self, batch: PendingBatch) -> bool:
        """Return whether :meth:`compare` may look at the batch only after all earlier ones are stored.

        It may look at later ones only after this one is stored.
        """
        return batch.connection_id in self._fresh

    def compare(self, batch: PendingBatch) -> PendingBatch:
        """Return the batch without the events that are stored already; the batch itself while nothing is in doubt.

        Raises:
            EventError: ids must be compared, and the payload does not hold the events that the batch announces.
        """
        has_ids = batch.kind is PayloadKind.EVENTS and bool(self._header)
        self._first = None
        if batch.connection_id in self._fresh and self._suspect_siblings(batch.connection_id) and has_ids:
            self._first = batch.connection_id, batch_ids(batch, self._header)
        late = self._watched.ids(batch.connection_id)
        if late and has_ids:
            batch = without_duplicates(batch, self._header, sorted_hashes(late), late.__contains__)
        if not self._owners or not has_ids:
            self._prove(batch.connection_id, set())
            return batch
        seen: set[int] = set()
        if self._hashes is None:
            self._hashes = np.sort(np.concatenate([suspect.hashes for suspect in self._suspects.values()]))
        compared = without_duplicates(batch, self._header, self._hashes, lambda each: self._is_stored(each, seen))
        self._prove(batch.connection_id, seen)
        return compared

    def _is_stored(self, event_id: bytes, seen: set[int]) -> bool:
        owner = self._owners.get(event_id)
        if owner is None:
            return False
        seen.add(owner)
        self._suspects[owner].unseen.discard(event_id)
        return True

    def _prove(self, connection_id: int, seen: set[int]) -> None:
        """Take a batch of ``connection_id`` as proof that the OK of its last one arrived.

        ``seen`` are the suspects whose events this batch brought again.
        """
        for owner in self._carried.pop(connection_id, set()) - seen:
            suspect = self._suspects[owner]
            suspect.carriers.discard(connection_id)
            if not suspect.unseen and not suspect.carriers:
                self._settle(owner)
        if seen:
            self._carried[connection_id] = seen
            for owner in seen:
                self._suspects[owner].carriers.add(connection_id)
        if connection_id in self._suspects:
            self._settle(connection_id)

    def stored(self, batch: PendingBatch) -> None:
        """A batch that :meth:`compare` returned is in the log now."""
        if batch.connection_id in self._watched and batch.count:
            self._watched.forget(batch.connection_id)
            self._suspect_newest(batch.connection_id)
        first, self._first = self._first, None
        if first is not None and first[0] == batch.connection_id:
            self._await_late_copies(*first)

    def _await_late_copies(self, connection_id: int, ids: frozenset[bytes]) -> None:
        size = _memory_of(ids)
        for sibling in self._siblings(connection_id):
            if sibling in self._watched and not self._watched.add(sibling, ids, size):
                self.evicted += 1

    def _suspect_siblings(self, connection_id: int) -> bool:
        """Suspect the other connections from the same host, and return whether there are any."""
        self._fresh.discard(connection_id)
        siblings = self._siblings(connection_id)
        for other in siblings:
            self._watched.watch(other)
            self._suspect_newest(other)
        return bool(siblings)

    def _siblings(self, connection_id: int) -> list[int]:
        """Return the other connections from the same host that have sent a batch."""
        peer = self._peers.get(connection_id)
        others = [other for other, host in self._peers.items() if host == peer and other != connection_id]
        return [other for other in others if other not in self._fresh]

    def _suspect_newest(self, connection_id: int) -> None:
        record = self._log.doubt_record(connection_id)
        if record is not None:
            self._suspect(record)

    def _suspect(self, record: DoubtRecord) -> None:
        connection_id = record.connection_id
        known = self._suspects.get(connection_id)
        if known is not None and known.record.first_offset == record.first_offset:
            return
        if known is not None:
            self._settle(connection_id)
        ids = self._log.ids_in_doubt(record, self._header) if self._header else frozenset()
        if not ids:
            self.settled.add(connection_id)
            return
        suspect = _Suspect(record, ids)
        self._suspects[connection_id] = suspect
        self._owners.update(dict.fromkeys(ids, connection_id))
        self._hashes = None
        self._size += suspect.size
        while self._size > self._log.settings.doubt_max_bytes:
            self._settle(next(iter(self._suspects)))
            self.evicted += 1

    def _settle(self, connection_id: int) -> None:
        suspect = self._suspects.pop(connection_id)
        self._hashes = None
        self._size -= suspect.size
        for each in suspect.ids:
            if self._owners.get(each) == connection_id:
                del self._owners[each]
        for carrier in suspect.carriers:
            self._carried[carrier].discard(connection_id)
        self.settled.add(connection_id)

    def expire(self, now_us: int) -> None:
        """Forget what is older than the expiry, in memory and, through ``settled``, on disk. Cheap when called often.

        ``now_us`` is the time in microseconds since the epoch.
        """
        if now_us < self._next_sweep_us:
            return
        self._next_sweep_us = now_us + self._expiry_us // _SWEEPS_PER_EXPIRY
        oldest_us = now_us - self._expiry_us
        for record in self._log.doubt_records():
            if record.stored_us < oldest_us:
                if record.connection_id in self._suspects:
                    self._settle(record.connection_id)
                self.settled.add(record.connection_id)


def _memory_of(ids: frozenset[bytes]) -> int:
    return sum(map(len, ids)) + _BYTES_PER_ID * len(ids)


def _stored_us(record: DoubtRecord) -> int:
    return record.stored_us
