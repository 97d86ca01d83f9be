"""Blocks tile a file, end behind line ends, and are the same when they are read again: the real Java, many files."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.block_java import BlockJava, block_java, expected_blocks, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.java

BLOCK, MAX_LINE = 1000, 4000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blocks")


@pytest.fixture(scope="module")
def java(folder: Path) -> Iterator[BlockJava]:
    with block_java(folder) as running:
        yield running


def line(length: int) -> bytes:
    """Return a line of that many bytes, its line end included."""
    return b"x" * (length - 1) + b"\n"


# Few kinds of bytes, so that line ends are found near every border.
CONTENTS = st.binary(max_size=80) | st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\0\xff"]), max_size=80).map(
    b"".join
)


@given(CONTENTS, st.integers(1, 12), st.integers(0, 12), st.integers(1, 4), st.integers(0, 3))
def test_the_cutting_rule(
    folder: Path, java: BlockJava, content: bytes, block: int, more: int, batch: int, rollback: int
) -> None:
    path = folder / "any"
    path.write_bytes(content)
    blocks = places(java.cut(path, block, block + more, batch, rollback=rollback))
    assert blocks == expected_blocks(content, block, block + more)
    position = 0
    for start, length, body in blocks:
        assert start == position
        position += length
        assert content.startswith(body, start)
        assert position == len(content) or content[position - 1 : position] == b"\n"
        assert length == len(body) <= max(block, block + more) or len(body) < length > block + more
    assert position == len(content)


@pytest.mark.parametrize("size", [BLOCK, MAX_LINE])
@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("ends", [True, False])
def test_a_line_at_a_border(folder: Path, java: BlockJava, size: int, off: int, *, ends: bool) -> None:
    content = line(10) + line(size + off) + (line(7) if ends else b"z" * (size + off))
    path = folder / "border"
    path.write_bytes(content)
    blocks = java.cut(path, BLOCK, MAX_LINE)
    assert places(blocks) == expected_blocks(content, BLOCK, MAX_LINE)
    cut = [block for block in blocks if block.length]
    assert len(cut) == (size + off > MAX_LINE) * (1 if ends else 2)
    assert all(int(block.length) == size + off and len(block.body) == MAX_LINE for block in cut)


def test_a_line_of_many_times_the_limit_keeps_only_its_beginning(folder: Path, java: BlockJava) -> None:
    content = line(5) + line(1_000_000) + line(5)
    path = folder / "long"
    path.write_bytes(content)
    blocks = java.cut(path, 50_000, 200_000, batch=2)
    assert places(blocks) == [(0, 5, line(5)), (5, 1_000_000, b"x" * 65_536), (1_000_005, 5, line(5))]
    assert [block.length for block in blocks] == ["", "1000000", ""]


def test_blocks_of_a_large_file(folder: Path, java: BlockJava) -> None:
    """Larger than the buffer of Flume's stream, so that its refills and seeks are taken too."""
    chance = random.Random(5)  # noqa: S311 - repeatable on purpose
    content = b"".join(line(chance.choice([1, 2, 200, 9000, 16_384, 70_000])) for _ in range(300))
    path = folder / "large"
    path.write_bytes(content)
    blocks = java.cut(path, 40_000, 65_536, batch=3, rollback=2)
    assert places(blocks) == expected_blocks(content, 40_000, 65_536)


def test_no_bytes_are_no_event(folder: Path, java: BlockJava) -> None:
    path = folder / "empty"
    path.touch()
    assert java.cut(path, BLOCK, MAX_LINE) == []


def test_sizes_that_do_not_fit_are_refused(folder: Path, java: BlockJava) -> None:
    path = folder / "any"
    path.touch()
    with pytest.raises(ValueError, match="blockBytes = 10 and maxLineBytes = 9: the first must be at least 1"):
        java.cut(path, 10, 9)


@pytest.mark.parametrize("size", [0, 99_500, 150_000])
def test_a_file_that_is_truncated_while_it_is_read_is_an_error(folder: Path, java: BlockJava, size: int) -> None:
    """Flume's stream says neither that there are bytes nor that there are none: it must not be asked for ever."""
    path = folder / "shrinking"
    path.write_bytes(line(100) * 1000 + b"x" * 100_000)
    with pytest.raises(ValueError, match=f"ends at byte {size}, before the size"):
        java.cut(path, BLOCK, 4 * BLOCK, truncated=size)
