"""A table of named damages: what a reader, and what verify, say of each. Offsets 3 to 7 are the damaged batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lmdb
import pytest
import xxhash

from avro_bridge.errors import LogDamaged, LogError, LogVersion
from avro_bridge.log import reader
from avro_bridge.log.folder_lock import FolderLock
from avro_bridge.log.log import Log
from avro_bridge.log.record import HEADER_SIZE
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.tools.scan import DamagedRange, scan
from avro_bridge.log.tools.verify import VerifyReport, verify
from tests.support.log_helpers import MIB, edit_batch, edit_meta, pending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = LogSettings(max_bytes=8 * MIB)
DAMAGED = 3


def flip(byte: int) -> Callable[[bytes], bytes]:
    """Return a change that flips the lowest bit of a byte; negative numbers count from the end."""

    def change(value: bytes) -> bytes:
        changed = bytearray(value)
        changed[byte] ^= 1
        return bytes(changed)

    return change


def recount(count: int) -> Callable[[bytes], bytes]:
    """Return a change that announces another number of events, under a right checksum."""

    def change(value: bytes) -> bytes:
        changed = bytearray(value)
        changed[28:32] = count.to_bytes(4, "little")
        changed[4:12] = xxhash.xxh3_64_intdigest(changed[12:], seed=DAMAGED).to_bytes(8, "little")
        return bytes(changed)

    return change


@dataclass(frozen=True)
class Damage:
    """A change of the stored batch 3 to 7, and what must be said of it."""

    name: str
    change: Callable[[bytes], bytes | None]
    first: int
    last: int
    reason: str
    error: type[LogError] = LogDamaged


DAMAGES = [
    Damage("flipped bit in the checksum", flip(5), 3, 7, "does not match its checksum"),
    Damage("flipped bit in received-at", flip(12), 3, 7, "does not match its checksum"),
    Damage("flipped bit in the count", flip(28), 3, 7, "does not match its checksum"),
    Damage("flipped bit in the kind", flip(32), 3, 7, "does not match its checksum"),
    Damage("version zero", lambda value: bytes(4) + value[4:], 3, 7, "does not match its checksum"),
    Damage("flipped bit in the payload", flip(HEADER_SIZE), 3, 7, "does not match its checksum"),
    Damage("flipped bit in the last byte", flip(-1), 3, 7, "does not match its checksum"),
    Damage("truncated payload", lambda value: value[:-1], 3, 7, "does not match its checksum"),
    Damage("truncated header", lambda value: value[: HEADER_SIZE - 1], 3, 7, "shorter than its header"),
    Damage("empty value", lambda _value: b"", 3, 7, "shorter than its header"),
    Damage("bytes behind the payload", lambda value: value + b"\0", 3, 7, "does not match its checksum"),
    Damage("newer version", lambda value: b"\3" + value[1:], 3, 7, "format version 3", LogVersion),
    Damage("missing batch", lambda _value: None, 3, 7, "no stored batch holds them"),
    Damage("count too small", recount(4), 7, 7, "no stored batch holds them"),
    Damage("count too large", recount(6), 3, 7, "announces 6 events, the next one starts at 8"),
]


@pytest.fixture(params=DAMAGES, ids=lambda damage: damage.name)
def damage(request: pytest.FixtureRequest) -> Damage:
    found: Damage = request.param
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([pending(b"a", 3), pending(b"b" * 5000, 5), pending(b"c", 2)])
    return tmp_path


@pytest.fixture
def damaged_folder(folder: Path, damage: Damage) -> Path:
    edit_batch(folder, DAMAGED, damage.change)
    return folder


def test_reading_reports_the_range_and_goes_on_behind_it(damaged_folder: Path, damage: Damage) -> None:
    with Log.open(damaged_folder, SETTINGS) as log, log.read(0, 10) as opened:
        read = []
        errors = []
        while True:
            try:
                read.append(next(opened).first_offset)
            except StopIteration:
                break
            except LogError as error:
                errors.append(error)
        assert read == ([0, 3, 8] if damage.first == 7 else [0, 8])
        assert [type(each) for each in errors] == [damage.error]
        assert damage.reason in str(errors[0])
        if isinstance(errors[0], LogDamaged):
            assert (errors[0].first, errors[0].last) == (damage.first, damage.last)


def test_a_range_that_starts_in_the_damage_reports_it(damaged_folder: Path, damage: Damage) -> None:
    with Log.open(damaged_folder, SETTINGS) as log:
        with log.read(7, 10) as opened, pytest.raises(damage.error):
            next(opened)
        with log.read(8, 10) as opened:
            assert [bytes(each.payload) for each in opened] == [b"c"]


def test_verify_reports_the_range(damaged_folder: Path, damage: Damage) -> None:
    report = verify(damaged_folder)
    assert [(each.first, each.last) for each in report.damaged] == [(damage.first, damage.last)]
    assert damage.reason in report.damaged[0].reason
    assert report.damaged[0].events == damage.last - damage.first + 1
    assert not report.ok
    assert (report.first_offset, report.next_offset) == (0, 10)


def test_a_damaged_log_still_takes_and_deletes_batches(damaged_folder: Path) -> None:
    with Log.open(damaged_folder, SETTINGS) as log:
        assert log.append([pending(b"d", 1)]) == [10]
        log.start_consumer("spark", "earliest")
        log.commit("spark", 10)
        assert log.retain(0).events == 10
        assert log.first_offset == 10


def test_a_whole_log_is_ok(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = verify(folder, lambda offset, end: seen.append((offset, end)))
    assert report == VerifyReport(
        folder=str(folder),
        log_id=report.log_id,
        next_offset=10,
        batches=3,
        events=10,
        payload_bytes=5002,
        structure_checked=True,
    )
    assert report.ok
    assert len(report.log_id) == 36


def test_verify_tells_how_far_it_is(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([pending(b"x", 2)] * 130)
    assert verify(tmp_path, lambda offset, end: seen.append((offset, end))).ok
    assert seen == [(128, 260), (256, 260)]


def test_verify_beside_the_bridge_leaves_the_structure_alone(folder: Path) -> None:
    with FolderLock(folder):
        report = verify(folder)
    assert report.ok
    assert not report.structure_checked


def test_batches_missing_at_either_end_are_reported(folder: Path) -> None:
    edit_batch(folder, 0, lambda _value: None)
    edit_batch(folder, 8, lambda _value: None)
    report = verify(folder)
    assert [(each.first, each.last) for each in report.damaged] == [(0, 2), (8, 9)]


def test_all_batches_missing(folder: Path) -> None:
    for first in (0, 3, 8):
        edit_batch(folder, first, lambda _value: None)
    report = verify(folder)
    assert [(each.first, each.last) for each in report.damaged] == [(0, 9)]


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (b'{"stored_events": 9, "stored_batches": 3}', "9 events were counted as stored, the next offset is 10"),
        (
            b'{"stored_events": 10, "stored_batches": 3, "deleted_events": 1}',
            "1 events were counted as deleted, the first offset is 0",
        ),
        (b'{"stored_events": 10, "stored_batches": 4}', "3 batches were found, 4 should be there"),
    ],
)
def test_books_that_do_not_add_up_are_reported(folder: Path, state: bytes, problem: str) -> None:
    edit_meta(folder, b"state", b'{"lives": 1, "next_offset": 10, "counters": ' + state + b"}")
    report = verify(folder)
    assert report.problems == (problem,)
    assert not report.ok


def test_a_consumer_beyond_the_end_is_reported(folder: Path) -> None:
    with Log.open(folder, SETTINGS) as log:
        log.append([pending(b"d", 1)])
        log.start_consumer("spark", "latest")
    edit_batch(folder, 10, lambda _value: None)
    edit_meta(
        folder, b"state", b'{"lives": 1, "next_offset": 10, "counters": {"stored_events": 10, "stored_batches": 3}}'
    )
    assert verify(folder).problems == ("consumer 'spark' committed 11, the next offset is 10",)


def test_a_file_with_broken_pages_is_reported_and_not_opened(folder: Path) -> None:
    data = bytearray((folder / "data.mdb").read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096] ^= 0xFF
    (folder / "data.mdb").write_bytes(data)
    report = verify(folder)
    assert not report.ok
    assert report.structure_checked
    assert 0 < len(report.problems) <= 21


def test_what_is_no_log_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be verified"):
        verify(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"x" * 10_000)
    with pytest.raises(LogError, match="cannot be verified"):
        verify(tmp_path)


def test_a_scan_passes_over_what_is_deleted_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_BATCHES_PER_TRANSACTION", 1)
    with Log.open(folder, SETTINGS) as log:
        log.start_consumer("spark", "earliest")
        firsts = []
        for found in scan(log, 0, 10):
            assert not isinstance(found, DamagedRange)
            firsts.append(found.first_offset)
            log.commit("spark", 8)
            log.retain(0)
        assert firsts == [0, 8]


def test_tables_that_lmdb_calls_damaged_end_a_read_with_a_log_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupted(_reader: object) -> None:
        raise lmdb.CorruptedError("mdb_cursor_get")

    with Log.open(folder, SETTINGS) as log, log.read(0, 10) as opened:
        monkeypatch.setattr(reader.RangeReader, "_step", corrupted)
        with pytest.raises(LogError, match="its tables are damaged"):
            next(opened)
