"""The bytes of one stored batch."""

from __future__ import annotations

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import LogDamaged, LogVersion
from avro_bridge.log.record import (
    FORMAT_VERSION,
    HEADER_SIZE,
    PayloadKind,
    PendingBatch,
    StoredBatch,
    pack_in_place,
    pack_key,
    peek,
    unpack,
    unpack_key,
)
from tests.support.log_helpers import pending

# Written by hand from the table at the head of record.py. The checksum is xxh3_64 (python-xxhash 4.1.0, seed 258) of
# the bytes behind it, computed apart from this code on 2026-11-22. Version 1 lies outside of the checksum, and differs
# in nothing else.
GOLDEN_FIRST_OFFSET = 258
GOLDEN = bytes.fromhex(
    "02000000"  # version 2
    "d32af63d1ea8a061"  # checksum
    "40420f0000000000"  # received at 1,000,000 us
    "0700000000000000"  # connection 7
    "02000000"  # two events
    "02"  # kind lines
    "000000"
    "68690a796f0a"  # "hi\nyo\n"
)


GOLDEN_VERSION_1 = b"\x01" + GOLDEN[1:]


def golden_batch() -> PendingBatch:
    return pending(b"hi\nyo\n", 2, connection_id=7)


def pack(batch: PendingBatch, first_offset: int) -> bytes:
    with pack_in_place(batch, first_offset) as value:
        return bytes(value)


batches = st.builds(
    pending,
    st.binary(max_size=200),
    st.integers(1, 2**32 - 1),
    kind=st.sampled_from(PayloadKind),
    connection_id=st.integers(0, 2**64 - 1),
    received_us=st.integers(-(2**63), 2**63 - 1),
)
offsets = st.integers(0, 2**62)


def test_golden_bytes_are_written() -> None:
    assert pack(golden_batch(), GOLDEN_FIRST_OFFSET).hex(" ") == GOLDEN.hex(" ")


@pytest.mark.parametrize("golden", [GOLDEN, GOLDEN_VERSION_1])
def test_golden_bytes_are_read(golden: bytes) -> None:
    batch = unpack(GOLDEN_FIRST_OFFSET, memoryview(golden), 260)
    assert (batch.first_offset, batch.count, batch.end_offset) == (258, 2, 260)
    assert (batch.kind, batch.received_us, batch.connection_id) == (PayloadKind.LINES, 1_000_000, 7)
    assert bytes(batch.payload) == b"hi\nyo\n"
    assert peek(memoryview(GOLDEN)) == (1_000_000, 7)


def test_key_sorts_like_its_offset() -> None:
    assert pack_key(258) == bytes.fromhex("0000000000000102")
    assert unpack_key(pack_key(2**63)) == 2**63


@given(batches, offsets)
def test_what_is_packed_is_read_back(batch: PendingBatch, first_offset: int) -> None:
    value = pack(batch, first_offset)
    assert len(value) == batch.stored_size
    read = unpack(first_offset, memoryview(value), first_offset + batch.count)
    assert read == StoredBatch(
        first_offset, batch.count, batch.kind, batch.received_us, batch.connection_id, memoryview(value)[HEADER_SIZE:]
    )


def test_header_is_packed_in_front_of_the_payload_without_copying_it() -> None:
    batch = golden_batch()
    with pack_in_place(batch, 0) as value:
        assert value.obj is batch.buffer


def test_bytes_in_front_of_the_header_are_left_alone() -> None:
    batch = PendingBatch(bytearray(b"reply") + bytes(HEADER_SIZE) + b"x", HEADER_SIZE + 5, 1, PayloadKind.LINES, 1, 1)
    pack(batch, 0)
    assert batch.buffer[:5] == b"reply"


@given(batches, offsets, st.data())
def test_any_flipped_bit_is_noticed(batch: PendingBatch, first_offset: int, data: st.DataObject) -> None:
    value = bytearray(pack(batch, first_offset))
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises((LogDamaged, LogVersion)) as caught:
        unpack(first_offset, memoryview(value), first_offset + batch.count)
    in_version = bit < 32 and int.from_bytes(value[:4], "little") > FORMAT_VERSION
    assert caught.type is (LogVersion if in_version else LogDamaged)


def test_every_prefix_is_damage() -> None:
    for length in range(len(GOLDEN)):
        with pytest.raises(LogDamaged) as caught:
            unpack(GOLDEN_FIRST_OFFSET, memoryview(GOLDEN[:length]), 260)
        assert (caught.value.first, caught.value.last) == (258, 259)


def test_a_batch_under_another_key_is_damage() -> None:
    with pytest.raises(LogDamaged):
        unpack(GOLDEN_FIRST_OFFSET + 1, memoryview(GOLDEN), 260)


def test_a_newer_version_is_named_and_not_called_damage() -> None:
    newer = (FORMAT_VERSION + 1).to_bytes(4, "little") + b"whatever it looks like then, it has no checksum we know"
    with pytest.raises(LogVersion, match="format version 3, this program reads up to 2: start the program that"):
        unpack(0, memoryview(newer), 1)


def test_an_unknown_kind_with_a_right_checksum_is_damage() -> None:
    value = bytearray(GOLDEN)
    value[32] = 9
    value[4:12] = xxhash.xxh3_64_intdigest(value[12:], seed=GOLDEN_FIRST_OFFSET).to_bytes(8, "little")
    with pytest.raises(LogDamaged, match="payload kind 9"):
        unpack(GOLDEN_FIRST_OFFSET, memoryview(value), 260)


def test_peek_of_a_cut_header_gives_zeros() -> None:
    assert peek(memoryview(GOLDEN)[: HEADER_SIZE - 1]) == (0, 0)


@pytest.mark.parametrize(("start", "count"), [(HEADER_SIZE - 1, 1), (HEADER_SIZE + 2, 1), (HEADER_SIZE, 2**32)])
def test_a_batch_that_cannot_be_packed_is_refused_when_made(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="header"):
        PendingBatch(bytearray(HEADER_SIZE + 1), start, count, PayloadKind.LINES, 1, 1)
