"""Blocks are counted exactly as their lines are, one by one, by both ways and mixed with events."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.blocks import CUT_LENGTH
from spark_job.errors import BridgeRefused
from spark_job.parse import LineParser
from spark_job.parse.schema import MAX_RAW_BYTES
from tests.support.access_lines import combined
from tests.support.block_rows import RECEIVED, Block, block_batch, cut_into_blocks, line_batch
from tests.support.line_counts import Answer, Question, counted, parsed
from tests.support.near_lines import as_format, near_lines, questions

COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"

any_lines = near_lines() | st.binary(max_size=5) | st.sampled_from([b"", b"\r", b"\x00", b"\xff"])


def with_cut_lines(answer: Answer, question: Question, blocks: list[Block]) -> Answer:
    """Return the answer for the whole lines, and a dead letter for each cut one."""
    letters, offset = list(answer.dead_letters), 0
    for block in blocks:
        if block.cut:
            raw = block.body.decode("utf-8", "replace").rstrip("\r").encode()[:MAX_RAW_BYTES].decode("utf-8", "ignore")
            received = line_batch(blocks)["received"][offset].as_py()
            letters.append((offset, received, "line too long", raw, len(block.body) + block.cut))
        offset += len(block.lines())
    return replace(answer, dead_letters=sorted(letters, key=lambda letter: letter[0]))


def without_cut_lines(blocks: list[Block]) -> pa.Table:
    rows = line_batch(blocks)
    is_cut = [block.cut > 0 for block in blocks for _ in block.lines()]
    return pa.Table.from_batches([rows]).filter(pa.array([not cut for cut in is_cut], pa.bool_()))


@settings(max_examples=100 if COMPILED else 30)
@given(
    questions,
    cut_into_blocks(any_lines, max_size=6),
    st.lists(st.integers(0, 6), max_size=3),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.none() | st.tuples(st.integers(0, 30), st.integers(-1, 1)),
)
def test_any_blocks_are_counted_as_if_each_line_was_parsed(
    question: Question,
    blocks: list[Block],
    cuts: list[int],
    as_blocks: list[bool],
    open_from: tuple[int, int] | None,
) -> None:
    """Cut into record batches anywhere, of which some are events and some are blocks."""
    blocks = [Block(as_format(block.body, question.log_format), block.cut) for block in blocks]
    blocks = [block for block in blocks if block.body or block.cut]
    whole = without_cut_lines(blocks)
    if open_from is not None:
        times = [time for time, *_ in parsed(question, whole).sums] or [RECEIVED]
        question = replace(question, open_from=times[open_from[0] % len(times)] + timedelta(microseconds=open_from[1]))
    tables, first = [], 0
    bounds = [0, *sorted(cut for cut in cuts if cut < len(blocks)), len(blocks)]
    for low, high, is_block in zip(bounds, bounds[1:], as_blocks, strict=False):
        some = blocks[low:high]
        if some:
            is_event = not is_block and not any(block.cut for block in some)
            tables.append(pa.Table.from_batches([(line_batch if is_event else block_batch)(some, first)]))
        first += sum(len(block.lines()) for block in some)
    received_by_offset(tables, blocks)
    expected = with_cut_lines(parsed(question, whole), question, blocks)
    assert counted(question, *tables) == expected
    assert counted(question, *tables, kernels=False) == expected


def received_by_offset(tables: list[pa.Table], blocks: list[Block]) -> None:
    """Check that both forms say the same about arrival, or the comparison would be of different things."""
    times = line_batch(blocks)["received"].to_pylist()
    for table in tables:
        assert [times[offset] for offset in table["offset"].to_pylist()] == table["received"].to_pylist()


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("log_format", ["combined", "nginx_json"])
def test_a_cut_line_is_one_malformed_line_whatever_is_in_it(kernels: bool, log_format: str) -> None:  # noqa: FBT001
    line = combined().encode() if log_format == "combined" else b'{"time": 1, "request": "GET / HTTP/1.1", "status": 4}'
    blocks = [
        Block(line + b"\n"),
        Block(line, cut=5),
        Block(line + b"\n" + line, cut=1),
        Block(line),
        Block(b"", cut=3),
    ]
    answer = counted(Question(log_format), pa.Table.from_batches([block_batch(blocks)]), kernels=kernels)
    assert len(answer.dead_letters) + sum(answer.panes.values()) == 5
    letters = [letter for letter in answer.dead_letters if letter[2] == "line too long"]
    assert [(offset, raw, length) for offset, _, _, raw, length in letters] == [
        (1, line.decode(), len(line) + 5),
        (2, f"{line.decode()}\n{line.decode()}", 2 * len(line) + 2),
        (4, "", 3),
    ]


def test_many_rounds_of_lines_in_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a block of which the kernels leave every line."""
    monkeypatch.setattr("spark_job.parse.kernels.sum_arrays.LINES_AT_ONCE", 16)
    lines = [combined(f"GET /{number % 7} HTTP/1.1").encode() for number in range(100)]
    for some in (lines, [line[:-1] for line in lines], [b""] * 50):
        blocks = [Block(b"\n".join(some) + b"\n")]
        expected = parsed(Question(), pa.Table.from_batches([line_batch(blocks)]))
        assert counted(Question(), pa.Table.from_batches([block_batch(blocks)])) == expected


@pytest.mark.parametrize("kernels", [True, False])
def test_a_block_with_another_number_of_lines_than_it_says_is_refused(kernels: bool) -> None:  # noqa: FBT001
    batch = block_batch([Block(b"a\nb\n"), Block(b"c\n")])
    wrong = batch.set_column(1, batch.schema.field("count"), pa.array([2, 2], pa.int64()))
    with pytest.raises(BridgeRefused, match="the block at offset 2 has 1 lines, and the bridge says 2"):
        counted(Question(), pa.Table.from_batches([wrong]), kernels=kernels)


def test_cut_lines_are_malformed_rows_of_the_parser_and_never_parsed() -> None:
    bodies = pl.Series([combined().encode(), combined().encode(), b"x"], dtype=pl.Binary)
    found = LineParser("combined").parse(bodies, cut_length=pl.Series(CUT_LENGTH, [None, 999, None]))
    assert found["error"].to_list() == [None, "line too long", "does not match the format"]
    assert found["raw"].to_list() == [None, combined(), "x"]
    assert found["time"].null_count() == found["agent"].null_count() == 2
