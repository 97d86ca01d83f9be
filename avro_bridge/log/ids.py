"""Event ids: the only place where the log looks inside a payload, and it does so only while something is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from avro_bridge.log.record import HEADER_SIZE, PayloadKind, PendingBatch
from avro_bridge.wire import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

MAX_ID_BYTES: Final = 1024
"""A UUID has 36. Longer values are something else, and would only fill the memory for ids."""


def event_ids(payload: Buffer, count: int, header: str) -> list[bytes | None]:
    """Return the value of ``header`` of each event, None where an event lacks it, or it is empty or too long for an id.

    If any two events of the payload share an id, the header does not identify events (it may be a user's, or the
    agent's, number): all are None then, since comparing such ids would drop events that are no duplicates.

    Raises:
        EventError: the payload does not hold ``count`` events.
    """
    spans = events.header_values(payload, events.index_events(payload, count), header.encode()).tolist()
    data = memoryview(payload)
    ids = [bytes(data[start : start + length]) if 0 < length <= MAX_ID_BYTES else None for start, length in spans]
    known = [each for each in ids if each is not None]
    return ids if len(set(known)) == len(known) else [None] * count


def without_duplicates(batch: PendingBatch, header: str, is_stored: Callable[[bytes], bool]) -> PendingBatch:
    """Return ``batch`` without the events whose id ``is_stored``; the batch itself if there are none.

    Raises:
        EventError: the payload does not hold the events that the batch announces.
    """
    with memoryview(batch.buffer) as whole, whole[batch.start :] as payload:
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
