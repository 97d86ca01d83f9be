"""Blocks of lines, as Headrace's agents send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from avro_bridge.ingest.calls import batches_of
from avro_bridge.log.blocks import HEADROOM
from avro_bridge.wire.blocks import FILE, LENGTH, POSITION, SIZE, file_id_text
from avro_bridge.wire.server import Call
from tests.support.wire_client import encode_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avro_bridge.log.record import PendingBatch
    from tests.support.avro_events import Event

FILE_ID = bytes(range(32))
OTHER_FILE_ID = bytes(range(1, 33))

file_contents = st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=12).map(
    b"\n".join
)
"""Files of a few short lines, with and without a last line end; some are empty."""


def block_event(
    content: bytes, start: int, stop: int, *, file_id: bytes = FILE_ID, more: dict[str, str] | None = None
) -> Event:
    """Return the event for ``content[start:stop]``, which must be whole lines of the file ``content``."""
    headers = {
        FILE.decode(): file_id_text(file_id),
        POSITION.decode(): str(start),
        SIZE.decode(): str(len(content)),
        "basename": "access.log",
    }
    return headers | (more or {}), content[start:stop]


def cut_line_event(content: bytes, start: int, stop: int, body_bytes: int) -> Event:
    """Return the event for a line of which only the beginning is shipped."""
    headers, _body = block_event(content, start, stop, more={LENGTH.decode(): str(stop - start)})
    return headers, content[start : start + body_bytes]


def call_of(events: Sequence[Event]) -> Call:
    """Return a call as the wire gives it to a connection."""
    return Call(1, "appendBatch", bytearray(HEADROOM) + encode_events(events), HEADROOM, len(events))


def pending_blocks(*events: Event, connection_id: int = 1) -> list[PendingBatch]:
    """Return the batches of one call with these events."""
    return batches_of(call_of(events), connection_id, 1_000_000)


def line_starts(content: bytes) -> list[int]:
    """Return where each line of a file begins, and the end of the file."""
    starts = [0, *(number + 1 for number, byte in enumerate(content) if byte == ord("\n"))]
    return starts if starts[-1] == len(content) else [*starts, len(content)]


@st.composite
def cuts(draw: st.DrawFn, content: bytes) -> list[tuple[int, int]]:
    """Draw blocks of whole lines of a file: overlapping, repeated, in any order, some missing."""
    starts = line_starts(content)
    pairs = st.tuples(st.sampled_from(starts), st.sampled_from(starts)).filter(lambda pair: pair[0] != pair[1])
    return [(min(pair), max(pair)) for pair in draw(st.lists(pairs, max_size=12))] if len(starts) > 1 else []
