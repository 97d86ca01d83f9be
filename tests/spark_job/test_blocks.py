"""Blocks become lines: bounds, headers, times and lengths, whatever is in them and however large they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job import blocks as module
from spark_job.blocks import CUT_LENGTH, Blocks, cut_lines, is_blocks, lines_in, lines_of
from spark_job.errors import BridgeRefused
from tests.support.block_rows import Block, block_batch, cut_into_blocks, line_batch, received_at

if TYPE_CHECKING:
    from collections.abc import Sequence

any_lines = st.binary(max_size=9) | st.sampled_from([b"", b"\r", b"\x00", b"\xff\xfe", b"a\r", b"\n\n", b"x" * 70])


def rows_of(blocks: Sequence[Block], first: int = 0, max_lines: int = 5) -> pa.Table:
    batches = list(lines_of(block_batch(blocks, first, headers=True), max_lines))
    assert all(0 < batch.num_rows <= max_lines for batch in batches)
    return pa.Table.from_batches(batches)


@given(cut_into_blocks(any_lines).filter(bool), st.integers(0, 1 << 40), st.integers(1, 6), st.integers(1, 40))
def test_lines_are_those_of_the_file(blocks: list[Block], first: int, max_lines: int, stretch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRETCH_BYTES", stretch)
        found = rows_of(blocks, 0, max_lines)
        assert rows_of(blocks, first, max_lines)["offset"].to_pylist() == list(range(first, first + found.num_rows))
    expected = line_batch(blocks)
    assert found["offset"].to_pylist() == expected["offset"].to_pylist()
    assert found["received"].to_pylist() == expected["received"].to_pylist()
    assert found["body"].to_pylist() == expected["body"].to_pylist()
    headers = [dict(each)["at"] for each in found["headers"].to_pylist()]
    assert [received_at(int(offset)) for offset in headers] == found["received"].to_pylist()
    lengths = [len(block.body) + block.cut if block.cut else None for block in blocks for _ in block.lines()]
    assert (found[CUT_LENGTH].to_pylist() if CUT_LENGTH in found.schema.names else [None] * len(lengths)) == lengths
    found.validate(full=True)


def test_a_slice_of_a_record_batch_has_its_own_lines_only() -> None:
    batch = block_batch([Block(b"a\nb\n"), Block(b"c\nd"), Block(b"e\n")], headers=True).slice(1, 1)
    (lines,) = lines_of(batch, 10)
    assert lines["body"].to_pylist() == [b"c", b"d"]
    assert lines["offset"].to_pylist() == [2, 3]
    assert lines["headers"].to_pylist() == [[("at", "2")]] * 2
    assert CUT_LENGTH not in lines.schema.names


def test_headers_are_repeated_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HEADER_BYTES", 100)
    batches = list(lines_of(block_batch([Block(b"\n" * 40)], headers=True), 1000))
    assert 1 < max(batch.num_rows for batch in batches) < 20


def test_rows_are_counted_in_lines() -> None:
    blocks = [Block(b"a\nb\n"), Block(b"c", cut=9), Block(b"\n")]
    assert is_blocks(block_batch(blocks))
    assert not is_blocks(line_batch(blocks))
    assert lines_in(block_batch(blocks)) == lines_in(line_batch(blocks)) == 4


def test_cut_lines_are_known_by_offset() -> None:
    blocks = [Block(b"a\nb\n"), Block(b"c", cut=9), Block(b"", cut=5), Block(b"d\n")]
    assert cut_lines(block_batch(blocks, 100)) == {102: 10, 103: 5}
    assert cut_lines(line_batch(blocks)) == {}


def replaced(batch: pa.RecordBatch, name: str, values: list[object]) -> pa.RecordBatch:
    field = batch.schema.field(name)
    return batch.set_column(batch.schema.names.index(name), field, pa.array(values, field.type))


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("count", [3, 1], "the block at offset 10 has 2 lines, and the bridge says 3"),
        ("count", [2, 2], "the block at offset 12 has 1 lines, and the bridge says 2"),
        ("count", [0, 1], "the block at offset 10 has no line"),
        ("offset", [10, 13], "the blocks from offset 10 do not follow on each other"),
        ("place", [bytes(47), bytes(48)], "a block has no place of 48 bytes"),
        ("place", [bytes(48), bytes(48)], "the block at offset 10 has no line, or more bytes than its place"),
        ("body", [b"", b"c"], "the block at offset 10 has no line"),
    ],
)
def test_a_block_that_breaks_the_contract_is_refused(name: str, values: list[object], text: str) -> None:
    batch = replaced(block_batch([Block(b"a\nb\n"), Block(b"c")], 10), name, values)
    if name == "count" and values[0] == 3:
        # The second block follows on what the first one says.
        batch = replaced(batch, "offset", [10, 13])
    if name == "count" and values[0] == 0:
        batch = replaced(batch, "offset", [10, 10])
    if name == "body":
        batch = replaced(batch, "place", [bytes(48), block_batch([Block(b"c")])["place"][0].as_py()])
    with pytest.raises(BridgeRefused, match=re.escape(text)):
        list(lines_of(batch, 10))


def test_bodies_that_point_outside_their_bytes_are_refused() -> None:
    batch = block_batch([Block(b"a\n"), Block(b"b\n")])
    wild = pa.py_buffer(np.array([0, 900, 4], np.int32))
    body = pa.Array.from_buffers(pa.binary(), 2, [None, wild, batch["body"].buffers()[2]])
    with pytest.raises(BridgeRefused, match="a block's columns are damaged"):
        Blocks.of(batch.set_column(4, batch.schema.field("body"), body))
