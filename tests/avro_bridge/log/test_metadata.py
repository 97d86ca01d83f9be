"""Metadata: what happens between programs and logs of different versions, and the estimate of a group's pages."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_bridge.errors import LogVersion
from avro_bridge.log import metadata, record
from avro_bridge.log.folder_lock import is_locked
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, pending

PAGE_BYTES = 4096
SETTINGS = LogSettings(max_bytes=8 * MIB)


@pytest.fixture
def old_log(tmp_path: Path) -> Path:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append([pending(b"old", 3)])
    return tmp_path


def program(monkeypatch: pytest.MonkeyPatch, *, writes: int, reads_from: int) -> None:
    """Be a program of another version from here on."""
    monkeypatch.setattr(record, "FORMAT_VERSION", writes)
    monkeypatch.setattr(record, "OLDEST_VERSION", reads_from)
    monkeypatch.setattr(metadata, "FORMAT_VERSION", writes)


def payloads(folder: Path) -> list[bytes]:
    with Log.open_readonly(folder) as log:
        now = log.metadata()
        return [bytes(batch.payload) for batch in log.read(now.first_offset, now.next_offset)]


def test_a_newer_program_that_knows_the_old_format_goes_on_with_the_log(
    old_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(monkeypatch, writes=3, reads_from=2)
    with Log.open(old_log, SETTINGS) as log:
        assert log.append([pending(b"new", 2)]) == [3]
    assert payloads(old_log) == [b"old", b"new"]


def test_looking_at_an_old_log_does_not_turn_it_into_a_new_one(old_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        program(newer, writes=3, reads_from=2)
        Log.open(old_log, SETTINGS).close()
    assert payloads(old_log) == [b"old"]


def test_after_the_newer_program_has_stored_the_older_one_refuses_the_whole_log(
    old_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        program(newer, writes=3, reads_from=2)
        with Log.open(old_log, SETTINGS) as log:
            log.append([pending(b"new", 2)])
    with pytest.raises(LogVersion, match="reads up to 2: start the program that wrote it or a newer one"):
        Log.open(old_log, SETTINGS)
    with pytest.raises(LogVersion, match="reads up to 2"):
        Log.open_readonly(old_log)


def test_a_program_that_no_longer_knows_the_format_says_how_to_go_on(
    old_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (old_log / "data.mdb").read_bytes()
    program(monkeypatch, writes=4, reads_from=3)
    advice = "has format version 2, this program reads 3 to 4: let the program that wrote it serve the log until all is"
    with pytest.raises(LogVersion, match=advice):
        Log.open(old_log, SETTINGS)
    assert not is_locked(old_log)
    assert (old_log / "data.mdb").read_bytes() == before


SIZES = st.sampled_from([0, 1, 100, 1000, 1400, 1990, 2010, 2019, 2020, 4080, 30_000])


@settings(max_examples=30)
@given(groups=st.lists(st.lists(SIZES, min_size=1, max_size=40), min_size=1, max_size=12))
def test_a_group_never_takes_more_than_was_estimated(groups: list[list[int]]) -> None:
    """The cap depends on it, whatever sizes are mixed and however full the pages were before."""
    with tempfile.TemporaryDirectory() as folder, Log.open(Path(folder), LogSettings(max_bytes=64 * MIB)) as log:
        for sizes in groups:
            batches = [pending(bytes(size), 1) for size in sizes]
            before = log.used_bytes
            log.append(batches)
            estimate = metadata.growth_bytes(PAGE_BYTES, [each.stored_size for each in batches])
            assert log.used_bytes - before <= estimate


def test_an_estimate_is_close_where_batches_are_large() -> None:
    assert metadata.growth_bytes(PAGE_BYTES, []) == 0
    ten_large = metadata.growth_bytes(PAGE_BYTES, [100_000] * 10)
    assert 10 * 25 * PAGE_BYTES < ten_large < 10 * 26 * PAGE_BYTES


def test_counters_are_raised_in_a_copy() -> None:
    old = metadata.Metadata("id")
    new = old.counted(stored_events=3, stored_batches=1).counted(stored_events=4)
    assert (new.counters["stored_events"], new.counters["stored_batches"]) == (7, 1)
    assert set(old.counters.values()) == {0}
