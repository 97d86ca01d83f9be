"""Suspects: stored batches that a client may send again, and the comparison of incoming events with them.

A stored batch whose OK was written may still be sent again: the OK may not have arrived. Flume sends one batch at a
time on a connection and waits for its answer, so the next batch on the same connection proves that the OK did arrive.
Only the newest batch of each connection is therefore uncertain; the transaction that stores a batch records it as the
newest (``records.py``). Nothing else happens until one of these events makes it a *suspect*:

===============================  ===================================  =================================================
event                            becomes a suspect                    why
===============================  ===================================  =================================================
a connection is lost             its newest batch                     its OK may have been lost with it
the bridge starts                every recorded batch                 all connections were lost
first batch of a new connection  the newest batch of each other       half-open TCP: the client has given up a
                                 connection from the same host        connection that still looks alive from here
===============================  ===================================  =================================================

Event ids are read from the log for suspects only, and incoming ids are looked at only while a suspect exists: first by
their hashes, then in full. An incoming event whose id a suspect has is dropped and counted. A batch stops being a
suspect when

- its connection turns out to be alive: a later batch arrives on it. One more of its batches stays a suspect, since the
  client may have sent that one before it gave the connection up;
- all of its events were sent again, and each connection that sent some of them has sent a later batch, which proves
  that the OK of the resend arrived;
- it expires, or the memory for ids is used up (the oldest suspect goes first).

``late_copies.py`` handles the reverse case: the resend arrives before the delayed original.

Limits: a client that sends its next batch before the answer to the last one is protected for its newest batch only.
Events without an id are never compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from avro_bridge.log.dedup.event_ids import batch_ids, sorted_hashes, without_duplicates
from avro_bridge.log.dedup.late_copies import LateCopies
from avro_bridge.log.record import PayloadKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avro_bridge.log.dedup.records import NewestBatches, NewestBatchRecord
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.settings import LogSettings

# Beside its text, an id costs a bytes object, its places in two sets and a dict, and two hashes (CPython).
_BYTES_PER_ID: Final = 196
_SWEEPS_PER_EXPIRY: Final = 10


class _Suspect:
    """A batch that may be sent again."""

    __slots__ = ("hashes", "ids", "missing", "record", "senders", "size")

    def __init__(self, record: NewestBatchRecord, ids: frozenset[bytes]) -> None:
        self.record = record
        self.ids = ids
        self.hashes = sorted_hashes(ids)
        self.missing = set(ids)
        """The ids that were not sent again yet."""
        self.senders: set[int] = set()
        """The connections that sent some again and have not sent a later batch."""
        self.size = _memory_of(ids)


class Suspects:
    """All connections and suspects of one log. Belongs to the thread that appends to the log.

    The constructor makes every recorded batch a suspect, since all its connections were lost with the last process.
    """

    def __init__(self, newest: NewestBatches, settings: LogSettings) -> None:
        self._newest = newest
        self._header = settings.id_header
        self._max_bytes = settings.doubt_max_bytes
        self._expiry_us = int(settings.doubt_expiry_s * 1_000_000)
        self._next_sweep_us = 0
        self._hosts: dict[int, str] = {}
        """Of each open connection."""
        self._unused: set[int] = set()
        """Open connections that have not sent a batch."""
        self._late = LateCopies(settings.doubt_max_bytes)
        """Open connections whose next batch becomes a suspect too, and the ids that they may bring late."""
        self._first: tuple[int, frozenset[bytes]] | None = None
        """Connection and ids of the batch compared last, if it is a connection's first one. A first batch has a group
        to itself, so there is never more than one."""
        self._suspects: dict[int, _Suspect] = {}
        """By connection; the oldest first."""
        self._connection_of_id: dict[bytes, int] = {}
        """The connection of the suspect that has an id."""
        self._hashes: NDArray[np.int64] | None = None
        """Sorted hashes of all ids of all suspects; None when they must be merged again."""
        self._resent_by: dict[int, set[int]] = {}
        """By connection: the suspects whose events its newest batch repeated."""
        self._size = 0
        self.forgettable: set[int] = set()
        """Connections whose record is not needed any more. The next append deletes these records, before it records its
        own batches."""
        self.evicted = 0
        """Suspects and first batches that were forgotten because the memory for ids was used up."""
        for record in sorted(newest.all(), key=_stored_us):
            self._add(record)

    @property
    def count(self) -> int:
        """How many batches may be sent again. Ids are compared while this is not 0."""
        return len(self._suspects)

    def connection_opened(self, connection_id: int, host: str) -> None:
        """Note a new connection from ``host``."""
        self._hosts[connection_id] = host
        self._unused.add(connection_id)

    def connection_lost(self, connection_id: int) -> None:
        """Note that a connection ended, however it ended: only the client knows whether it read the last OK."""
        self._hosts.pop(connection_id, None)
        self._unused.discard(connection_id)
        self._late.forget(connection_id)
        for owner in self._resent_by.pop(connection_id, ()):
            # This connection's resend is uncertain itself now, so all of the suspect's events may be sent again.
            suspect = self._suspects[owner]
            suspect.senders.discard(connection_id)
            suspect.missing = set(suspect.ids)
        self._add_newest(connection_id)

    def needs_own_group(self, batch: PendingBatch) -> bool:
        """Return whether the batch must not share a transaction with others.

        The first batch of a connection makes the *stored* batches of other connections suspects. So :meth:`drop_resent`
        may see it only after all earlier batches are stored, and later ones only after it is stored.
        """
        return batch.connection_id in self._unused

    def drop_resent(self, batch: PendingBatch) -> PendingBatch:
        """Return the batch without the events that are stored already; the batch itself if there are none.

        Raises:
            EventError: ids must be compared, and the payload does not hold the events that the batch announces.
        """
        has_ids = batch.kind is PayloadKind.EVENTS and bool(self._header)
        self._first = None
        if batch.connection_id in self._unused and self._suspect_siblings(batch.connection_id) and has_ids:
            self._first = batch.connection_id, batch_ids(batch, self._header)
        late = self._late.ids(batch.connection_id)
        if late and has_ids:
            batch = without_duplicates(batch, self._header, sorted_hashes(late), late.__contains__)
        if not self._connection_of_id or not has_ids:
            self._note_alive(batch.connection_id, set())
            return batch
        repeated: set[int] = set()
        if self._hashes is None:
            self._hashes = np.sort(np.concatenate([suspect.hashes for suspect in self._suspects.values()]))
        rest = without_duplicates(batch, self._header, self._hashes, lambda each: self._is_stored(each, repeated))
        self._note_alive(batch.connection_id, repeated)
        return rest

    def _is_stored(self, event_id: bytes, repeated: set[int]) -> bool:
        """Return whether a suspect has the id; if so, note that it was sent again and add the suspect to a set."""
        owner = self._connection_of_id.get(event_id)
        if owner is None:
            return False
        repeated.add(owner)
        self._suspects[owner].missing.discard(event_id)
        return True

    def _note_alive(self, connection_id: int, repeated: set[int]) -> None:
        """Take a batch of a connection as proof that the OK of its previous batch arrived.

        ``repeated`` are the suspects whose events this batch sent again.
        """
        # What the previous batch repeated, and this one does not, is proved: its resend was acknowledged.
        for owner in self._resent_by.pop(connection_id, set()) - repeated:
            suspect = self._suspects[owner]
            suspect.senders.discard(connection_id)
            if not suspect.missing and not suspect.senders:
                self._remove(owner)
        if repeated:
            self._resent_by[connection_id] = repeated
            for owner in repeated:
                self._suspects[owner].senders.add(connection_id)
        # The connection's own suspect is cleared as well: the connection is alive.
        if connection_id in self._suspects:
            self._remove(connection_id)

    def batch_stored(self, batch: PendingBatch) -> None:
        """Note that a batch which :meth:`drop_resent` returned is in the log now."""
        if batch.connection_id in self._late and batch.count:
            # The client may have sent this batch before it gave the connection up: it is the one more suspect.
            self._late.forget(batch.connection_id)
            self._add_newest(batch.connection_id)
        first, self._first = self._first, None
        if first is not None and first[0] == batch.connection_id:
            self._expect_late_copies(*first)

    def _expect_late_copies(self, connection_id: int, ids: frozenset[bytes]) -> None:
        size = _memory_of(ids)
        for sibling in self._siblings(connection_id):
            if sibling in self._late and not self._late.add(sibling, ids, size):
                self.evicted += 1

    def _suspect_siblings(self, connection_id: int) -> bool:
        """Suspect the other connections from the same host, and return whether there are any."""
        self._unused.discard(connection_id)
        siblings = self._siblings(connection_id)
        for sibling in siblings:
            self._late.watch(sibling)
            self._add_newest(sibling)
        return bool(siblings)

    def _siblings(self, connection_id: int) -> list[int]:
        """Return the other connections from the same host that have sent a batch."""
        host = self._hosts.get(connection_id)
        others = [other for other, its_host in self._hosts.items() if its_host == host and other != connection_id]
        return [other for other in others if other not in self._unused]

    def _add_newest(self, connection_id: int) -> None:
        record = self._newest.of(connection_id)
        if record is not None:
            self._add(record)

    def _add(self, record: NewestBatchRecord) -> None:
        connection_id = record.connection_id
        known = self._suspects.get(connection_id)
        # It is a suspect already: keep what is known about its resends.
        if known is not None and known.record.first_offset == record.first_offset:
            return
        if known is not None:
            self._remove(connection_id)
        ids = self._newest.ids(record, self._header) if self._header else frozenset()
        if not ids:
            self.forgettable.add(connection_id)
            return
        suspect = _Suspect(record, ids)
        self._suspects[connection_id] = suspect
        self._connection_of_id.update(dict.fromkeys(ids, connection_id))
        self._hashes = None
        self._size += suspect.size
        while self._size > self._max_bytes:
            self._remove(next(iter(self._suspects)))
            self.evicted += 1

    def _remove(self, connection_id: int) -> None:
        suspect = self._suspects.pop(connection_id)
        self._hashes = None
        self._size -= suspect.size
        for each in suspect.ids:
            # A later suspect may have taken over the id: two batches can share events that were cut differently.
            if self._connection_of_id.get(each) == connection_id:
                del self._connection_of_id[each]
        for sender in suspect.senders:
            self._resent_by[sender].discard(connection_id)
        self.forgettable.add(connection_id)

    def expire(self, now_us: int) -> None:
        """Forget records older than the expiry, in memory and, through :attr:`forgettable`, on disk.

        Cheap when called often: it reads the records ten times per expiry only.

        Args:
            now_us: microseconds since the epoch.
        """
        if now_us < self._next_sweep_us:
            return
        self._next_sweep_us = now_us + self._expiry_us // _SWEEPS_PER_EXPIRY
        oldest_us = now_us - self._expiry_us
        for record in self._newest.all():
            if record.stored_us < oldest_us:
                if record.connection_id in self._suspects:
                    self._remove(record.connection_id)
                self.forgettable.add(record.connection_id)


def _memory_of(ids: frozenset[bytes]) -> int:
    return sum(map(len, ids)) + _BYTES_PER_ID * len(ids)


def _stored_us(record: NewestBatchRecord) -> int:
    return record.stored_us
