"""What may be deleted, and deleting it.

A batch goes, oldest first and whole, when one of these holds:

=============  ==================================================================  =================================
read           every known consumer has committed all of it                        nothing is lost
age            it was received longer than ``retain_max_age_s`` ago                what a known consumer had not yet
size           the log takes more than ``retain_max_bytes``                        committed is counted as dropped
=============  ==================================================================  =================================

With no consumer known nothing counts as read: what waits for its first reader is kept. Events that age or size delete
then count as dropped too, since nobody has read them.

Before a batch goes that is the newest one of its connection, its ids are left behind in the doubt records: Flume may
still send it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.errors import EventError, LogError
from avro_bridge.log import metadata, record
from avro_bridge.log.dedup import event_ids as ids
from avro_bridge.log.dedup import records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from avro_bridge.log.dedup.records import DoubtRecord
    from avro_bridge.log.environment import Environment, Transaction
    from avro_bridge.log.metadata import Consumer, State
    from avro_bridge.log.settings import LogSettings


@dataclass(frozen=True, slots=True)
class Dropped:
    """What one call deleted: offsets ``first_offset`` to ``end_offset`` (excluded)."""

    batches: int = 0
    events: int = 0
    first_offset: int = 0
    end_offset: int = 0
    unread_events: int = 0
    """How many of the events some known consumer had not committed, or all of them when no consumer is known."""
    more: bool = False
    """The bound on one transaction was reached: call again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The settings, applied to the present: what is below which offset, time or size."""

    read_below: int
    """Every known consumer has committed all below; 0 when none is known."""
    received_before_us: int | None
    above_bytes: int | None

    @classmethod
    def of(cls, settings: LogSettings, consumers: Iterable[Consumer], now_us: int) -> Rule:
        """Return the rule as of ``now_us``."""
        age_s = settings.retain_max_age_s
        return cls(
            read_below=min((each.committed for each in consumers), default=0),
            received_before_us=None if age_s is None else now_us - int(age_s * 1_000_000),
            above_bytes=settings.retain_max_bytes,
        )

    def may_delete(self, now: State) -> bool:
        """Return False if it is plain, without looking at a batch, that nothing goes."""
        return now.first_offset < now.next_offset and (
            now.first_offset < self.read_below
            or self.received_before_us is not None
            or (self.above_bytes is not None and now.used_bytes > self.above_bytes)
        )


def delete(
    environment: Environment, transaction: Transaction, now: State, rule: Rule, settings: LogSettings
) -> Dropped:
    """Delete what ``rule`` lets go, at most ``settings.retain_batches`` batches. Checksums are not looked at."""
    first = end = now.first_offset
    batches = 0
    more = False
    with transaction.cursor(environment.batches) as cursor:
        found = cursor.first()
        while found:
            received_us, connection_id = record.peek(cursor.value())
            behind = record.unpack_key(cursor.key()) if cursor.next() else now.next_offset
            used_bytes = metadata.used_bytes(environment, transaction)
            if not _goes(rule, behind, received_us, used_bytes):
                break
            if batches == settings.retain_batches:
                more = True
                break
            _leave_ids_behind(environment, transaction, connection_id, end, settings.id_header)
            cursor.set_key(record.pack_key(end))
            cursor.delete()
            batches, end = batches + 1, behind
            found = cursor.first()
    unread_from = min(max(rule.read_below, first), end)
    return Dropped(batches, end - first, first, end, end - unread_from, more)


def _goes(rule: Rule, end_offset: int, received_us: int, used_bytes: int) -> bool:
    return (
        end_offset <= rule.read_below
        or (rule.received_before_us is not None and received_us < rule.received_before_us)
        or (rule.above_bytes is not None and used_bytes > rule.above_bytes)
    )


def _leave_ids_behind(
    environment: Environment, transaction: Transaction, connection_id: int, first_offset: int, header: str
) -> None:
    doubt = records.get(environment, transaction, connection_id)
    if doubt is not None and doubt.first_offset == first_offset:
        records.put_ids(environment, transaction, doubt, stored_ids(environment, transaction, doubt, header))


def stored_ids(environment: Environment, transaction: Transaction, doubt: DoubtRecord, header: str) -> frozenset[bytes]:
    """Return the ids of a stored batch; none if it is gone, damaged, or holds no events with ids."""
    value = transaction.get(record.pack_key(doubt.first_offset), db=environment.batches)
    if value is None or not header:
        return frozenset()
    try:
        batch = record.unpack(doubt.first_offset, value, doubt.first_offset + doubt.count)
        if batch.kind is not record.PayloadKind.EVENTS:
            return frozenset()
        found = ids.event_ids(batch.payload, batch.count, header)
    except (LogError, EventError):
        # A damaged batch cannot say what it held. It is reported where it is read; here it only cannot help.
        return frozenset()
    return frozenset(each for each in found if each is not None)
