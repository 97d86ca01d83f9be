"""Retention: decides which batches may be deleted, and deletes them.

Batches are deleted whole, the oldest first, as long as one of these holds:

=============  ==================================================================  =================================
reason         a batch is deleted when                                             counted as
=============  ==================================================================  =================================
read           every known consumer has committed all of it                        deleted; nothing is lost
age            it was received longer than ``retain_max_age_s`` ago                dropped, as far as some known
size           the log takes more than ``retain_max_bytes``                        consumer had not committed it
=============  ==================================================================  =================================

While no consumer is known, nothing counts as read: the log keeps everything for its first reader. Events that age or
size delete then count as dropped too, since nobody has read them.

Before deleting a connection's newest batch, retention copies its event ids to the connection's record in
``dedup/records.py``: Flume may still send that batch again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.log import metadata, record
from avro_bridge.log.dedup import records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from avro_bridge.log.environment import Environment, Transaction
    from avro_bridge.log.metadata import Consumer, Metadata
    from avro_bridge.log.settings import LogSettings


@dataclass(frozen=True, slots=True)
class Deleted:
    """The result of one call: offsets ``first_offset`` to ``end_offset`` (excluded) were deleted."""

    batches: int = 0
    events: int = 0
    first_offset: int = 0
    end_offset: int = 0
    unread_events: int = 0
    """Events that some known consumer, or every future one, has not read."""
    more: bool = False
    """The call reached ``retain_batches``: call again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The settings as of one moment: what is below which offset, time or size may be deleted."""

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

    def may_delete(self, now: Metadata) -> bool:
        """Cheap pre-check: return False if no batch can be deleted."""
        return now.first_offset < now.next_offset and (
            now.first_offset < self.read_below
            or self.received_before_us is not None
            or (self.above_bytes is not None and now.used_bytes > self.above_bytes)
        )


def delete(
    environment: Environment, transaction: Transaction, now: Metadata, rule: Rule, settings: LogSettings
) -> Deleted:
    """Delete what ``rule`` allows, at most ``settings.retain_batches`` batches. Checksums are not checked."""
    first = end = now.first_offset
    batches = 0
    more = False
    with transaction.cursor(environment.batches) as cursor:
        found = cursor.first()
        while found:
            received_us, connection_id = record.peek(cursor.value())
            # A damaged header cannot say how many events the batch has, so its end is where the next one starts.
            batch_end = record.unpack_key(cursor.key()) if cursor.next() else now.next_offset
            used_bytes = metadata.used_bytes(environment, transaction)
            if not _may_go(rule, batch_end, received_us, used_bytes):
                break
            if batches == settings.retain_batches:
                more = True
                break
            # ``end`` is still this batch's first offset. The cursor has moved on to the next one and is set back to
            # delete.
            records.keep_ids(environment, transaction, connection_id, end, settings.id_header)
            cursor.set_key(record.pack_key(end))
            cursor.delete()
            batches, end = batches + 1, batch_end
            found = cursor.first()
    unread_from = min(max(rule.read_below, first), end)
    return Deleted(batches, end - first, first, end, end - unread_from, more)


def _may_go(rule: Rule, end_offset: int, received_us: int, used_bytes: int) -> bool:
    return (
        end_offset <= rule.read_below
        or (rule.received_before_us is not None and received_us < rule.received_before_us)
        or (rule.above_bytes is not None and used_bytes > rule.above_bytes)
    )
