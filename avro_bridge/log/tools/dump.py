"""Dump: lists the contents of a log, one item for each batch or for each event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avro_bridge.errors import EventError
from avro_bridge.log.record import PayloadKind, StoredBatch
from avro_bridge.log.tools.scan import DamagedRange, scan
from avro_bridge.wire import events
from headrace.common.text import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avro_bridge.log.read_only import LogView


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A stored batch without its payload."""

    first_offset: int
    count: int
    kind: str
    received_us: int
    connection_id: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class EventSummary:
    """An event. ``body`` is None unless it was requested; see :func:`shown`."""

    offset: int
    received_us: int
    connection_id: int
    headers: int
    body_bytes: int
    body: str | None


def dump_batches(view: LogView, start: int, end: int) -> Iterator[BatchSummary | DamagedRange]:
    """Yield a summary of each batch that holds some of ``start <= offset < end``, and each damaged range.

    Raises:
        RangeBelow, RangeAbove, BadRequest: as ``LogView.read``.
    """
    for found in scan(view, start, end):
        yield found if isinstance(found, DamagedRange) else _summary(found)


def dump_events(
    view: LogView, start: int, end: int, *, body_bytes: int = 0
) -> Iterator[EventSummary | BatchSummary | DamagedRange]:
    """Yield each event of ``start <= offset < end`` with up to ``body_bytes`` of its body, and each damaged range.

    A batch of another kind than events is one item, since its payload is opaque to the log.

    Raises:
        RangeBelow, RangeAbove, BadRequest: as ``LogView.read``.
    """
    for found in scan(view, start, end):
        if isinstance(found, DamagedRange):
            yield found
        elif found.kind is PayloadKind.EVENTS:
            yield from _events(found, start, end, body_bytes)
        else:
            yield _summary(found)


def shown(body: bytes) -> str:
    r"""Return a body as text that is safe to print and can be told apart from any other body.

    Unsafe characters and backslashes are escaped. Bytes that are not UTF-8 show as ``\udcNN``, NN being the byte.
    """
    return escaped(body.decode("utf-8", "surrogateescape").replace("\\", "\\\\"))


def _summary(batch: StoredBatch) -> BatchSummary:
    return BatchSummary(
        batch.first_offset,
        batch.count,
        batch.kind.name.lower(),
        batch.received_us,
        batch.connection_id,
        len(batch.payload),
    )


def _events(batch: StoredBatch, start: int, end: int, body_bytes: int) -> Iterator[EventSummary | DamagedRange]:
    try:
        index = events.index_events(batch.payload, batch.count)
        headers = np.diff(events.gather_headers(batch.payload, index, 0, batch.count).offsets)
    except EventError as error:
        yield DamagedRange(batch.first_offset, batch.end_offset - 1, str(error))
        return
    for number in range(max(0, start - batch.first_offset), min(batch.count, end - batch.first_offset)):
        at, length = int(index[number, 2]), int(index[number, 3])
        body = shown(bytes(batch.payload[at : at + min(length, body_bytes)])) if body_bytes else None
        yield EventSummary(
            batch.first_offset + number, batch.received_us, batch.connection_id, int(headers[number]), length, body
        )
