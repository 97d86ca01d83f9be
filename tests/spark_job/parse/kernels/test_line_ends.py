"""The kernels of lines in blocks: every line is found, as many at a time as there is room for, and can be copied."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse.kernels import line_ends
from spark_job.parse.kernels.loads import loads_of
from tests.support.block_rows import Block, cut_into_blocks

lines = st.binary(max_size=9) | st.sampled_from([b"", b"\r", b"\x8a\x0b\x09", b"x" * 7, b"y" * 63, b"z" * 200])


@given(cut_into_blocks(lines), st.integers(1, 5), st.binary(max_size=3))
def test_lines_are_found_in_every_block(blocks: list[Block], room: int, before: bytes) -> None:
    data = np.frombuffer(before + b"".join(block.body for block in blocks) + b"\n\n", np.uint8)
    bounds = len(before) + np.cumsum([0, *(len(block.body) for block in blocks)])
    is_cut = np.array([block.cut > 0 for block in blocks], np.bool_)
    reached, counted = np.array([0, bounds[0]], np.int64), np.zeros(len(blocks), np.int64)
    starts, stops, rows = np.empty((3, room), np.int32)
    found, places = [], []
    while count := line_ends.find_lines(data, loads_of(data), bounds, is_cut, reached, counted, starts, stops, rows):
        places += list(zip(starts[:count].tolist(), stops[:count].tolist(), strict=True))
        found += rows[:count].tolist()
    texts = [bytes(data[start:stop]) for start, stop in places]
    assert texts == [line for block in blocks for line in block.lines()]
    assert found == [row for row, block in enumerate(blocks) for _ in block.lines()]
    assert counted.tolist() == [len(block.lines()) for block in blocks]
    some = np.array(places[::2], np.int64).reshape(-1, 2).T
    copied = np.empty(int((some[1] - some[0]).sum()), np.uint8)
    line_ends.copy_lines(data, np.ascontiguousarray(some[0]), np.ascontiguousarray(some[1]), copied)
    assert copied.tobytes() == b"".join(texts[::2])
