"""Event ids: reads them from a payload, and drops events whose id is stored already.

This is the only place where the log looks inside a payload, and it does so only while a batch may be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from avro_bridge.log.record import HEADER_SIZE, PayloadKind, PendingBatch
from avro_bridge.wire import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from typing_extensions import Buffer

MAX_ID_BYTES: Final = 1024
"""A UUID has 36. A longer value is something else and would only fill the memory for ids."""


def event_ids(payload: Buffer, count: int, header: str) -> list[bytes | None]:
    """Return the value of ``header`` of each event; None where it is missing, empty or too long for an id.

    If two events of the payload have the same value, the header does not identify events (it may be the number of a
    user or an agent). All are None then: comparing such values would drop events that are no duplicates.

    Raises:
        EventError: the payload does not hold ``count`` events.
    """
    spans = events.header_values(payload, events.index_events(payload, count), header.encode()).tolist()
    data = memoryview(payload)
    ids = [bytes(data[start : start + length]) if 0 < length <= MAX_ID_BYTES else None for start, length in spans]
    known = [each for each in ids if each is not None]
    return ids if len(set(known)) == len(known) else [None] * count


def batch_ids(batch: PendingBatch, header: str) -> frozenset[bytes]:
    """Return the ids of a batch that is not stored yet.

    Raises:
        EventError: the payload does not hold the events that the batch announces.
    """
    with memoryview(batch.buffer) as whole, whole[batch.start :] as payload:
        return frozenset(each for each in event_ids(payload, batch.count, header) if each is not None)


def sorted_hashes(ids: Iterable[bytes]) -> NDArray[np.int64]:
    """Return the sorted hashes of ``ids``, as :func:`without_duplicates` needs them."""
    known = list(ids)
    lengths = np.fromiter(map(len, known), np.int64, len(known))
    spans = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
    return np.sort(events.hash_values(b"".join(known), spans))


def without_duplicates(
    batch: PendingBatch, header: str, hashes: NDArray[np.int64], is_stored: Callable[[bytes], bool]
) -> PendingBatch:
    """Return ``batch`` without the events whose id ``is_stored``; the batch itself if there are none.

    ``hashes`` are the sorted hashes of all ids for which ``is_stored`` may be true. A batch after a lost connection is
    nearly always a new one, so its hashes are compared first; the ids themselves only if one of the hashes matches.

    Raises:
        EventError: the payload does not hold the events that the batch announces.
    """
    with memoryview(batch.buffer) as whole, whole[batch.start :] as payload:
        spans = events.header_values(payload, events.index_events(payload, batch.count), header.encode())
        if not _any_of(events.hash_values(payload, spans), hashes):
            return batch
        ids = event_ids(payload, batch.count, header)
        keep = np.fromiter((each is None or not is_stored(each) for each in ids), np.bool_, len(ids))
        kept = int(keep.sum())
        if kept == batch.count:
            return batch
        index = events.index_events(payload, batch.count)
        buffer = events.select_events(payload, index, keep, headroom=HEADER_SIZE)
    return PendingBatch(
        buffer,
        HEADER_SIZE,
        kept,
        PayloadKind.EVENTS,
        batch.connection_id,
        batch.received_us,
        duplicates=batch.duplicates + batch.count - kept,
    )


def _any_of(values: NDArray[np.int64], known: NDArray[np.int64]) -> bool:
    """Return whether any of ``values`` is in ``known``, which is sorted."""
    if not len(known):
        return False
    places = np.searchsorted(known, values)
    # A value above all known ones has a place behind the last; any other place does to compare it with.
    places[places == len(known)] = 0
    return bool((known[places] == values).any())
