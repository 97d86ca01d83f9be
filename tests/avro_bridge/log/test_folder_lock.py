"""Who may write which folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import LogError, LogLocked
from avro_bridge.log.folder_lock import FolderLock, claim_folder, is_locked, log_folders

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, pathlib
from avro_bridge.log.folder_lock import claim_folder
lock = claim_folder(pathlib.Path(sys.argv[1]))
print(lock.path.name, flush=True)
sys.stdin.read()
"""


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "log") as lock:
        assert is_locked(lock.path)
        with pytest.raises(LogLocked, match="another bridge is writing it"):
            FolderLock(lock.path)
    assert not is_locked(lock.path)
    FolderLock(lock.path).release()


def test_releasing_twice_is_free(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.release()
    lock.release()


def test_a_folder_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    with pytest.raises(LogError, match=r"log folder .*/log: .*make it a folder that the bridge may write"):
        FolderLock(tmp_path / "log")


def test_a_file_system_that_cannot_lock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_fd: int, _how: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(LogError, match="cannot lock files"):
        FolderLock(tmp_path)


def test_an_unlocked_or_missing_folder_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "missing")


def test_the_first_free_log_is_claimed(tmp_path: Path) -> None:
    with claim_folder(tmp_path) as first, claim_folder(tmp_path) as second:
        assert [first.path.name, second.path.name] == ["0", "1"]
        first.release()
        with claim_folder(tmp_path) as third:
            assert third.path.name == "0"


def test_the_kernel_frees_the_claim_of_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "0\n"
        with claim_folder(tmp_path) as beside:
            assert beside.path.name == "1"
        holder.kill()
        holder.wait()
    with claim_folder(tmp_path) as after:
        assert after.path.name == "0"


def test_logs_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "3").write_text("not a folder")
    assert [each.name for each in log_folders(tmp_path)] == ["9", "10"]
    assert log_folders(tmp_path / "missing") == []
