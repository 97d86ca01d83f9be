"""A newer program over an older log works, or refuses it and says what to do; an older one refuses a newer log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import LogVersion
from avro_bridge.log import metadata, record
from avro_bridge.log.folder_lock import is_locked
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from tests.support.log_kit import MIB, pending

if TYPE_CHECKING:
    from pathlib import Path

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
    program(monkeypatch, writes=2, reads_from=1)
    with Log.open(old_log, SETTINGS) as log:
        assert log.append([pending(b"new", 2)]) == [3]
    assert payloads(old_log) == [b"old", b"new"]


def test_looking_at_an_old_log_does_not_turn_it_into_a_new_one(old_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        program(newer, writes=2, reads_from=1)
        Log.open(old_log, SETTINGS).close()
    assert payloads(old_log) == [b"old"]


def test_after_the_newer_program_has_stored_the_older_one_refuses_the_whole_log(
    old_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        program(newer, writes=2, reads_from=1)
        with Log.open(old_log, SETTINGS) as log:
            log.append([pending(b"new", 2)])
    with pytest.raises(LogVersion, match="reads up to 1: start the program that wrote it or a newer one"):
        Log.open(old_log, SETTINGS)
    with pytest.raises(LogVersion, match="reads up to 1"):
        Log.open_readonly(old_log)


def test_a_program_that_no_longer_knows_the_format_says_how_to_go_on(
    old_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (old_log / "data.mdb").read_bytes()
    program(monkeypatch, writes=3, reads_from=2)
    advice = "has format version 1, this program reads 2 to 3: let the program that wrote it serve the log until all is"
    with pytest.raises(LogVersion, match=advice):
        Log.open(old_log, SETTINGS)
    assert not is_locked(old_log)
    assert (old_log / "data.mdb").read_bytes() == before
