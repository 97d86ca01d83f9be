"""What the writer tells those who gave it batches, and those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from avro_bridge.errors import BridgeError
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.retention import Dropped


class Done(Protocol):
    """What a caller is told of its batch, on the writer thread, after the sync. Must be quick and must not raise."""

    def __call__(self, first_offset: int | None, error: BridgeError | None, /) -> None:
        """``first_offset`` is None with an error, and without one when all events were stored already."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one transaction stored."""

    batches: int
    events: int
    payload_bytes: int
    deduplicated_events: int
    seconds: float
    """From the begin of the transaction to the end of its sync."""

    @classmethod
    def of(cls, batches: Sequence[PendingBatch], seconds: float) -> Group:
        """Return the sums over ``batches``."""
        return cls(
            batches=len(batches),
            events=sum(each.count for each in batches),
            payload_bytes=sum(len(each.buffer) - each.start for each in batches if each.count),
            deduplicated_events=sum(each.duplicates for each in batches),
            seconds=seconds,
        )


def _ignore(*_about: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterHooks:
    """What the writer tells about itself, on its own thread. Each must be quick and must not raise."""

    after_group: Callable[[Group], None] = _ignore
    """What one transaction stored, after the ``done`` of each of its batches."""

    answered: Callable[[], None] = _ignore
    """After the ``done`` of all batches that were taken together, stored or not: wakes an event loop once for all."""

    has_room_again: Callable[[], None] = _ignore
    """The queue was over its bound and is below half of it now."""

    deleted: Callable[[Dropped], None] = _ignore
    """Retention deleted something; ``unread_events`` of it are worth a warning."""

    upkeep_failed: Callable[[BaseException], None] = _ignore
    """Retention, or keeping track of doubts, failed. Retention is tried again."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A batch that has no answer yet. ``size`` is that of the batch as it was handed over."""

    batch: PendingBatch
    done: Done
    size: int
