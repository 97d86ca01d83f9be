"""The stored form of a block, and the lines that are left of one of which some are stored."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.contract import Place
from avro_bridge.errors import LogDamaged
from avro_bridge.log.blocks import HEADROOM, read_block, without_stored
from avro_bridge.log.record import PayloadKind, PendingBatch, StoredBatch
from tests.support.blocks import FILE_ID, block_event, cut_line_event, file_contents, line_starts, pending_blocks

# Written by hand from the diagram at the head of blocks.py and the Avro specification, on 2026-11-27.
GOLDEN = bytes.fromhex(
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"  # file id
    "0300000000000000"  # position 3
    "0400000000000000"  # length 4
    "8c000000"  # 140 bytes: map of four headers (1 + 81 + 20 + 16 + 20 + 1), length of the body (1)
)


def payload_of(batch: PendingBatch) -> bytes:
    return bytes(batch.buffer[batch.start :])


def stored(batch: PendingBatch) -> StoredBatch:
    return StoredBatch(7, batch.count, batch.kind, 1, 1, memoryview(payload_of(batch)))


def lines_of(batch: PendingBatch) -> bytes:
    return bytes(read_block(stored(batch)).lines)


def test_golden_bytes_are_written() -> None:
    (batch,) = pending_blocks(block_event(b"xy\nabc\nz", 3, 7))
    payload = payload_of(batch)
    assert payload[:52].hex(" ") == GOLDEN.hex(" ")
    # Behind the headers: the length of the body (4 is 08 in Avro), then the lines up to the end.
    assert payload[52 + 140 - 1 :] == b"\x08abc\n"
    assert (batch.kind, batch.count) == (PayloadKind.LINES, 1)


def test_a_block_is_read_back() -> None:
    content = b"xy\nabc\nz"
    (batch,) = pending_blocks(block_event(content, 3, 8))
    block = read_block(stored(batch))
    assert block.place == Place(FILE_ID, 3, 5)
    assert (bytes(block.lines), block.is_cut_line) == (b"abc\nz", False)
    assert b"access.log" in bytes(block.headers)


def test_a_cut_line_is_read_back() -> None:
    (batch,) = pending_blocks(cut_line_event(bytes(100), 10, 90, 5))
    block = read_block(stored(batch))
    assert (block.place, bytes(block.lines), block.is_cut_line) == (Place(FILE_ID, 10, 80), bytes(5), True)


@pytest.mark.parametrize("payload", [b"", bytes(51), bytes(52), GOLDEN, GOLDEN + bytes(140)])
def test_a_payload_that_is_no_block_is_named_by_its_offsets(payload: bytes) -> None:
    with pytest.raises(LogDamaged, match="offsets 7 to 9: the stored block has no lines"):
        read_block(StoredBatch(7, 3, PayloadKind.LINES, 1, 1, memoryview(payload)))


@given(file_contents.filter(bool), st.data())
def test_a_line_is_left_if_the_byte_at_its_beginning_is_not_stored(content: bytes, data: st.DataObject) -> None:
    """Gaps may begin and end inside of lines here, which blocks of whole lines never make."""
    starts = line_starts(content)
    low, high = sorted(data.draw(st.lists(st.sampled_from(starts), min_size=2, max_size=2, unique=True)))
    missing = data.draw(st.sets(st.integers(low, high - 1)))
    gaps: list[tuple[int, int]] = []
    for byte in sorted(missing):
        if gaps and gaps[-1][1] == byte:
            gaps[-1] = gaps[-1][0], byte + 1
        else:
            gaps.append((byte, byte + 1))
    (batch,) = pending_blocks(block_event(content, low, high))
    assert batch.place is not None

    pieces = without_stored(batch, batch.place, gaps)

    expected = [(start, stop) for start, stop in itertools.pairwise(starts) if low <= start < high]
    expected = [(start, stop) for start, stop in expected if start in missing]
    found = []
    for piece in pieces:
        assert piece.place is not None
        position, length = piece.place.place.position, piece.place.place.length
        assert lines_of(piece) == content[position : position + length]
        inside = [(start, stop) for start, stop in expected if position <= start < position + length]
        assert piece.count == len(inside)
        assert (inside[0][0], inside[-1][1]) == (position, position + length)
        assert b"access.log" in payload_of(piece)
        found += inside
    assert found == expected


@pytest.mark.parametrize(
    ("gaps", "is_left"), [([], False), ([(10, 90)], True), ([(10, 11)], True), ([(11, 90)], False), ([(50, 60)], False)]
)
def test_a_cut_line_is_left_or_not_by_its_first_byte(gaps: list[tuple[int, int]], is_left: bool) -> None:  # noqa: FBT001 - a table
    (batch,) = pending_blocks(cut_line_event(bytes(100), 10, 90, 5))
    assert batch.place is not None
    assert without_stored(batch, batch.place, gaps) == ([batch] if is_left else [])


def test_the_prefix_of_a_block_that_comes_alone_lies_in_the_headroom() -> None:
    (batch,) = pending_blocks(block_event(b"abc\n", 0, 4))
    # One byte, the count of the array, is in front of the event.
    assert batch.start == HEADROOM + 1 - 52
