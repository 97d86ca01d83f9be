"""A file channel's files, read byte by byte as Flume 1.11.0 left them when it was killed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flume.agent.file_channel import Put, newest_puts
from flume.errors import RecoveryError

if TYPE_CHECKING:
    from pathlib import Path

# From data/log-1 of a real agent (Flume 1.11.0, file channel, UUID, timestamp and host interceptors) that was killed:
# the rollback of an empty take, the first put, and the commit of the transaction of that put.
ROLLBACK = bytes.fromhex("7f0000001a170d0300000011d13a5a05a201000019d23a5a05a20100000000")
PUT = bytes.fromhex(
    "7f000000aa170d0100000011d23a5a05a201000019d33a5a05a20100008f010a83010a110a08626173656e616d651205782e6c6f670a110a04"
    "686f737412096c6f63616c686f73740a2a0a026964122437316139306534642d626532322d346435302d626261662d31663332343130653166"
    "31300a1a0a0974696d657374616d70120d31373935333836313330313033"
    "12136c696e652030206f6620736f6d65207465787411995878ab0000000000"
)
COMMIT = bytes.fromhex("7f0000001f170d0400000011d23a5a05a201000019bb3e5a05a2010000050d0100000000")
FILLED = b"\x80" * 64
EVENT = Put(
    {
        "basename": "x.log",
        "host": "localhost",
        "id": "71a90e4d-be22-4d50-bbaf-1f32410e1f10",
        "timestamp": "1795386130103",
    },
    b"line 0 of some text",
)


def write(folder: Path, *files: bytes) -> Path:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for number, content in enumerate(files, 1):
        (data / f"log-{number}").write_bytes(content)
        (data / f"log-{number}.meta").write_bytes(b"not a log")
    return data


def again(record: bytes, kind: int, transaction: int, order: int) -> bytes:
    """The same record with another head."""
    return record[:6] + struct.pack("<BiBqBq", 0x0D, kind, 0x11, transaction, 0x19, order) + record[29:]


def test_the_newest_committed_put_is_found(tmp_path: Path) -> None:
    assert newest_puts(write(tmp_path, ROLLBACK + PUT + COMMIT + FILLED)) == [EVENT]


def test_what_was_not_committed_or_rolled_back_is_not_there(tmp_path: Path) -> None:
    assert newest_puts(write(tmp_path, ROLLBACK + PUT + FILLED)) == []
    rolled_back = again(COMMIT, 3, struct.unpack_from("<q", PUT, 12)[0], 2**40)
    assert newest_puts(write(tmp_path, PUT + rolled_back + FILLED)) == []
    assert newest_puts(tmp_path / "nothing") == []


def test_takes_are_passed_over_and_transactions_reach_over_files(tmp_path: Path) -> None:
    first = again(PUT, 1, 7, 100) + again(COMMIT, 4, 7, 101) + again(PUT, 1, 8, 102)
    second = again(PUT, 1, 8, 103) + again(COMMIT, 4, 8, 104)
    take = again(ROLLBACK, 2, 9, 105) + again(COMMIT, 4, 9, 106).replace(b"\x05\x0d\x01", b"\x05\x0d\x02")
    assert newest_puts(write(tmp_path, first + FILLED, second + take + FILLED)) == [EVENT, EVENT]


# log-1.meta of a channel with a checkpoint at byte 31; only the position differs from what was captured.
META = bytes.fromhex("2e0d030000001501000000191f00000000000000210000000000000000310000000000000000390000000000000000")


def test_reading_begins_at_the_checkpoint_if_two_transactions_follow_it(tmp_path: Path) -> None:
    """What stands before the checkpoint is damaged here, which shows whether it was read."""
    before = ROLLBACK[:6] + b"\x08" + ROLLBACK[7:]
    after = again(PUT, 1, 7, 1) + again(COMMIT, 4, 7, 2) + again(PUT, 1, 8, 3) * 2 + again(COMMIT, 4, 8, 4)
    data = write(tmp_path, before + after + FILLED)
    (data / "log-1.meta").write_bytes(META)
    assert newest_puts(data) == [EVENT, EVENT]
    # One transaction may have begun before it.
    (data / "log-1").write_bytes(ROLLBACK + again(PUT, 1, 8, 3) + again(COMMIT, 4, 8, 4) + FILLED)
    (data / "log-1.meta").write_bytes(META.replace(b"\x19\x1f\x00", b"\x19" + struct.pack("<H", 31 + len(PUT))))
    assert newest_puts(data) == [EVENT]
    (data / "log-1").write_bytes(before + after + FILLED)
    (data / "log-1.meta").write_bytes(META[:19])
    with pytest.raises(RecoveryError, match="byte 0 has an unknown layout"):
        newest_puts(data)


def test_a_record_that_was_not_written_to_its_end_ends_the_file(tmp_path: Path) -> None:
    for length in range(len(COMMIT)):
        assert newest_puts(write(tmp_path, PUT + COMMIT[:length])) == []
        assert newest_puts(write(tmp_path, PUT + COMMIT + again(PUT, 1, 9, 2**40)[:length])) == [EVENT]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecoveryError, match="byte 31 has an unknown layout"):
        newest_puts(write(tmp_path, ROLLBACK + PUT[:6] + b"\x08" + PUT[7:] + COMMIT))
    (tmp_path / "data" / "log-1").write_bytes(b"")
    with pytest.raises(RecoveryError, match="log-1: cannot be read"):
        newest_puts(tmp_path / "data")


@settings(max_examples=300)
@given(place=st.integers(29, len(PUT) - 1), byte=st.integers(0, 255), head=st.booleans())
def test_damage_is_refused_or_gives_events(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, *, head: bool
) -> None:
    damaged = bytearray(PUT + COMMIT + FILLED)
    damaged[place - 29 if head else place] = byte
    try:
        found = newest_puts(write(tmp_path_factory.mktemp("channel"), bytes(damaged)))
    except RecoveryError:
        return
    assert len(found) <= 1
