"""Record batches of blocks as a bridge gives them, and lines cut into blocks in any way, for tests of readers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import strategies as st

from avro_bridge.contract import Place, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

RECEIVED = datetime(2024, 5, 1, 12, 0, 30, tzinfo=UTC)
FILE_ID = bytes(range(32))


@dataclass(frozen=True)
class Block:
    """Some lines of a file with their line feeds; ``cut`` bytes more than it has if it is the beginning of a line."""

    body: bytes
    cut: int = 0

    def lines(self) -> list[bytes]:
        """The lines without their line feeds."""
        if self.cut:
            return [self.body]
        pieces = self.body.split(b"\n")
        return pieces if pieces[-1] else pieces[:-1]


def block_batch(blocks: Sequence[Block], first: int = 0, *, headers: bool = False) -> pa.RecordBatch:
    """Return a record batch of blocks; each is received a minute after the one before, from offset ``first`` on."""
    counts = [len(block.lines()) for block in blocks]
    offsets = [first + sum(counts[:row]) for row in range(len(blocks))]
    places = [Place(FILE_ID, 7, len(block.body) + block.cut).to_bytes() for block in blocks]
    columns: list[pa.Array[Any]] = [
        pa.array(offsets, pa.int64()),
        pa.array(counts, pa.int64()),
        pa.array([received_at(offset) for offset in offsets], pa.timestamp("us", tz="UTC")),
        pa.array(places, pa.binary()),
        pa.array([block.body for block in blocks], pa.binary()),
    ]
    if headers:
        columns.append(pa.array([[("at", str(offset))] for offset in offsets], pa.map_(pa.string(), pa.string())))
    return pa.record_batch(columns, schema=schema(headers=headers, blocks=True))


def line_batch(blocks: Sequence[Block], first: int = 0) -> pa.RecordBatch:
    """Return the same lines as events."""
    lines: list[bytes] = []
    times: list[datetime] = []
    for block in blocks:
        times += [received_at(first + len(lines))] * len(block.lines())
        lines += block.lines()
    columns = [pa.array(range(first, first + len(lines)), pa.int64()), pa.array(times, pa.timestamp("us", tz="UTC"))]
    return pa.record_batch([*columns, pa.array(lines, pa.binary())], schema=schema(headers=False))


def received_at(offset: int) -> datetime:
    """When a block or an event with this offset was received."""
    return RECEIVED + timedelta(minutes=offset % 100_000)


@st.composite
def cut_into_blocks(draw: st.DrawFn, lines: st.SearchStrategy[bytes], max_size: int = 12) -> list[Block]:
    """Return any lines, cut into blocks in any way; the last line of a block may lack its line feed."""
    blocks = []
    for some in draw(st.lists(st.lists(lines, min_size=1, max_size=4), max_size=max_size)):
        texts = [line.replace(b"\n", b"\r") for line in some]
        body = b"\n".join(texts)
        # Without the line feed an empty last line would not be there.
        blocks.append(Block(body + b"\n" if draw(st.booleans()) or not texts[-1] else body))
        if draw(st.integers(0, 5)) == 0:
            blocks.append(Block(draw(lines), cut=draw(st.integers(1, 1 << 40))))
    return blocks
