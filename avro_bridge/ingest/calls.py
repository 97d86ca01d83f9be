"""Makes batches of a call: its ordinary events are one batch, each block of lines is one.

A call of Headrace's agent has blocks only. That of a Flume agent which collects from several others may mix them with
events of one line. Blocks come first: a block proves nothing about the answer to the events before it, and in that
order none is taken for a proof (``log/dedup/suspects.py``).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from avro_bridge.contract import Place
from avro_bridge.log.blocks import HEADROOM, pending_block
from avro_bridge.log.record import HEADER_SIZE, FilePlace, PayloadKind, PendingBatch
from avro_bridge.wire import events
from avro_bridge.wire.blocks import find_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from avro_bridge.errors import BridgeError
    from avro_bridge.wire.blocks import BlockEvent
    from avro_bridge.wire.server import Call


class JointAnswer:
    """Waits for the answers to all batches of a call, then gives the call's: the first error, or None.

    If one batch is refused and another is stored, the call is refused and Flume sends all of it again; what is stored
    is recognised then. May be called from any thread.
    """

    def __init__(self, batches: int, answered: Callable[[BridgeError | None], None]) -> None:
        self._lock = threading.Lock()
        self._unanswered = batches
        self._error: BridgeError | None = None
        self._answered = answered

    def __call__(self, _first_offset: int | None, error: BridgeError | None, /) -> None:
        """Take the answer to one batch."""
        with self._lock:
            self._unanswered -= 1
            self._error = self._error or error
            is_last = not self._unanswered
        if is_last:
            self._answered(self._error)


def batches_of(call: Call, connection_id: int, received_us: int) -> list[PendingBatch]:
    """Return the batches of a call, at least one. They use the call's buffer, which nobody else may use any more.

    The connection's headroom must be ``HEADROOM`` bytes, so that a block which comes alone is not copied.

    Raises:
        BlockError: the headers of a block are no place in a file.
    """
    with memoryview(call.buffer) as whole, whole[call.start :] as payload:
        blocks = find_blocks(payload, call.event_count)
    if not blocks:
        return [PendingBatch(call.buffer, call.start, call.event_count, PayloadKind.EVENTS, connection_id, received_us)]
    if call.event_count == 1:
        # Cut off the end of the array, so that the lines are the end of the buffer.
        del call.buffer[call.start + blocks[0].body_end :]
        return [_batch(call.buffer, call.start, blocks[0], connection_id, received_us)]
    batches = [_copied(call, block, connection_id, received_us) for block in blocks]
    if len(blocks) < call.event_count:
        batches.append(_events(call, blocks, connection_id, received_us))
    return batches


def _copied(call: Call, block: BlockEvent, connection_id: int, received_us: int) -> PendingBatch:
    begin, end = call.start + block.headers_start, call.start + block.body_end
    buffer = bytearray(HEADROOM) + memoryview(call.buffer)[begin:end]
    return _batch(buffer, HEADROOM - block.headers_start, block, connection_id, received_us)


def _batch(
    buffer: bytearray, payload_start: int, block: BlockEvent, connection_id: int, received_us: int
) -> PendingBatch:
    return pending_block(
        buffer,
        payload_start + block.headers_start,
        payload_start + block.body_start,
        FilePlace(Place(block.file_id, block.position, block.length), block.file_size),
        count=block.lines,
        connection_id=connection_id,
        received_us=received_us,
    )


def _events(call: Call, blocks: list[BlockEvent], connection_id: int, received_us: int) -> PendingBatch:
    """Return the events of a call that are no blocks, as one batch."""
    keep = np.ones(call.event_count, np.bool_)
    keep[[block.number for block in blocks]] = False
    with memoryview(call.buffer) as whole, whole[call.start :] as payload:
        index = events.index_events(payload, call.event_count)
        buffer = events.select_events(payload, index, keep, headroom=HEADER_SIZE)
    return PendingBatch(buffer, HEADER_SIZE, int(keep.sum()), PayloadKind.EVENTS, connection_id, received_us)
