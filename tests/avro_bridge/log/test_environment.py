"""The LMDB environment: labels, errors, and memory that stays mapped while a reader uses it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import lmdb
import pytest

from avro_bridge.errors import LogClosed, LogError, LogFull, LogWriteFailed
from avro_bridge.log.environment import Environment
from avro_bridge.log.folder_lock import FolderLock, is_locked
from tests.support.log_helpers import MIB, FaultyEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[FaultyEnvironment]:
    made = FaultyEnvironment(tmp_path, map_bytes=2 * MIB, lock=FolderLock(tmp_path))
    yield made
    made.close()


def test_every_commit_is_synced_and_the_map_is_not_writable(environment: FaultyEnvironment) -> None:
    flags = environment._lmdb.flags()
    assert flags["sync"]
    assert flags["metasync"]
    assert not flags["writemap"]
    assert not flags["map_async"]


def test_the_kernel_may_read_ahead(environment: FaultyEnvironment) -> None:
    """Without it, each page of a backlog that is not in memory costs one request to the disk."""
    assert environment._lmdb.flags()["readahead"]


def put(environment: Environment, label: str, value: bytes = b"v") -> None:
    with environment.write(label) as transaction:
        transaction.put(b"k", value, db=environment.meta)


def get(environment: Environment) -> bytes | None:
    with environment.read() as transaction:
        value = transaction.get(b"k", db=environment.meta)
        return None if value is None else bytes(value)


def lmdb_error(code: int, kind: type[lmdb.Error] = lmdb.Error) -> lmdb.Error:
    error = kind("mdb_txn_commit")
    error.code = code  # type: ignore[misc]  # Final in the stubs; set by the C code the same way
    return error


def test_the_double_fails_the_named_write_once_and_no_other(environment: FaultyEnvironment) -> None:
    environment.fail_next("second")
    put(environment, "first", b"1")
    with pytest.raises(LogWriteFailed, match="second: mdb_txn_commit: Input/output error"):
        put(environment, "second", b"2")
    assert get(environment) == b"1"
    put(environment, "second", b"3")
    assert get(environment) == b"3"
    assert environment.reached == ["first", "second", "second"]


def test_an_error_of_the_body_leaves_no_trace(environment: FaultyEnvironment) -> None:
    environment.fail_next("outer", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        put(environment, "outer")
    assert get(environment) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_from_a_broken_one(environment: FaultyEnvironment, code: int) -> None:
    environment.fail_next("test", lmdb_error(code))
    with pytest.raises(LogFull, match="bytes are free on the disk"):
        put(environment, "test")


def test_a_write_cut_short_is_a_full_disk_when_there_is_too_little_room(environment: FaultyEnvironment) -> None:
    for wanted, expected in ((2**60, LogFull), (1, LogWriteFailed)):
        environment.fail_next("test", lmdb_error(errno.EIO))
        with pytest.raises(expected), environment.write("test", wanted):
            pass


def test_a_full_map_is_log_full(environment: FaultyEnvironment) -> None:
    with pytest.raises(LogFull, match="the file has reached its largest size"):
        put(environment, "test", bytes(3 * MIB))


def test_an_environment_that_lmdb_gave_up_says_restart(environment: FaultyEnvironment) -> None:
    environment.fail_next("test", lmdb_error(-30795, lmdb.PanicError))
    with pytest.raises(LogWriteFailed, match="restart the bridge"):
        put(environment, "test")


def test_closed_means_closed(environment: FaultyEnvironment) -> None:
    environment.close()
    environment.close()
    with pytest.raises(LogClosed):
        put(environment, "test")
    with pytest.raises(LogClosed):
        environment.begin_read()


def test_the_mapping_and_the_lock_outlive_close_until_the_last_reader_is_done(tmp_path: Path) -> None:
    environment = Environment(tmp_path, map_bytes=MIB, lock=FolderLock(tmp_path))
    put(environment, "test", b"still here")
    transaction = environment.begin_read()
    view = transaction.get(b"k", db=environment.meta)
    environment.close()
    assert is_locked(tmp_path)
    assert view is not None
    assert bytes(view) == b"still here"
    view.release()
    environment.end_read(transaction)
    assert not is_locked(tmp_path)


def test_an_lmdb_error_while_reading_is_a_log_error(environment: FaultyEnvironment) -> None:
    with pytest.raises(LogError, match="its tables are damaged"), environment.read():
        raise lmdb.CorruptedError("mdb_cursor_get")


def test_more_readers_than_slots_is_a_log_error(environment: FaultyEnvironment) -> None:
    transactions = [environment.begin_read() for _slot in range(512)]
    with pytest.raises(LogError, match="cannot be read"):
        environment.begin_read()
    for each in transactions:
        environment.end_read(each)


def test_a_file_that_was_cut_short_is_refused_before_anything_is_read(environment: FaultyEnvironment) -> None:
    put(environment, "test", bytes(MIB))
    environment.close()
    data = environment.folder / "data.mdb"
    whole = data.stat().st_size
    with data.open("r+b") as file:
        file.truncate(whole - 4096)
    with pytest.raises(LogError, match=rf"data.mdb has {whole - 4096} bytes and should have {whole}: it was cut short"):
        Environment(environment.folder, map_bytes=0, lock=None)


@pytest.mark.parametrize("content", [b"", b"no log at all" * 1000])
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(LogError):
        Environment(tmp_path, map_bytes=0, lock=None)


def test_another_lmdb_file_is_refused(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path)).close()
    with pytest.raises(LogError, match="this is not a log"):
        Environment(tmp_path, map_bytes=0, lock=None)


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be opened"):
        Environment(tmp_path, map_bytes=0, lock=None)


def test_a_log_on_a_read_only_volume_is_read_without_a_lock(
    environment: FaultyEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(environment, "test")
    environment.close()
    (environment.folder / "lock.mdb").unlink()
    view = Environment(environment.folder, map_bytes=0, lock=None)
    assert get(view) == b"v"
    view.close()
    assert not (environment.folder / "lock.mdb").exists()
