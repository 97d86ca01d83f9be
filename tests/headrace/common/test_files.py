"""Replaced files are old or new, never half; locks belong to the open file."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.common.files import NewFile, replace_file, replacing, sync_folder, sync_tree, try_lock, waiting_for_lock

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_an_error_in_the_block_leaves_the_old_content_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.write([b"new", 1])  # type: ignore[call-overload]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_is_an_error_and_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_content_and_name_are_synced_before_the_file_counts_as_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    replace_file(tmp_path / "a", b"new")
    assert len(synced) == 2
    assert synced[0].startswith(str(tmp_path / ".a."))
    assert synced[1] == str(tmp_path)
    synced.clear()
    replace_file(tmp_path / "b", b"new", durable=False)
    assert synced == []


def test_a_tree_is_synced_from_the_leaves_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    sync_tree(tmp_path / "a")
    assert synced == [tmp_path / "a" / "b" / "file", tmp_path / "a" / "b", tmp_path / "a"]


def test_a_private_file_is_private_from_the_start(tmp_path: Path) -> None:
    with replacing(tmp_path / "secret", mode=0o600) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_new_file_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    new = NewFile(tmp_path / "a")
    new.file.write(b"half")
    new.close()
    new.close()
    assert names(tmp_path) == []


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    contents = [bytes([65 + number]) * 100_000 for number in range(4)]
    threads = [threading.Thread(target=replace_file, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert names(tmp_path) == ["a"]


def test_a_folder_that_is_a_file_cannot_be_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


def test_one_open_file_holds_the_lock_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("ab") as first, path.open("ab") as second:
        assert try_lock(first)
        assert try_lock(first), "it holds it already"
        assert not try_lock(second)
        assert not try_lock(second, shared=True)
    with path.open("ab") as third:
        assert try_lock(third)


def test_shared_holders_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("ab") as first, path.open("ab") as second, path.open("ab") as third:
        assert try_lock(first, shared=True)
        assert try_lock(second, shared=True)
        assert not try_lock(third)


def _hold(path: Path, held: Event, leave: Event) -> None:
    with waiting_for_lock(path):
        held.set()
        leave.wait(30)


def test_a_holder_that_dies_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    context = multiprocessing.get_context("spawn")
    held, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(path, held, leave))
    holder.start()
    assert held.wait(30)
    with path.open("ab") as other:
        assert not try_lock(other)
    holder.kill()
    with waiting_for_lock(path):
        holder.join(30)
    holder.close()
