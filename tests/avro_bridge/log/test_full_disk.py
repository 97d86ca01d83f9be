"""A disk without room, for real: a small tmpfs, and a limit on the size of files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import LogFull
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.tools.verify import verify
from tests.support.log_helpers import MIB, fill, lines, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A limit on file sizes applies to the whole process, so this runs in a separate one.
LIMITED = """
import pathlib, resource, sys
from avro_bridge.errors import LogError
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.log import Log
from tests.support.log_helpers import lines, stored

limit = 2 * 2**20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
with Log.open(pathlib.Path(sys.argv[1]), LogSettings(max_bytes=64 * 2**20)) as log:
    refused = 0
    for batch in range(30):
        before = log.metadata()
        try:
            log.append([lines(1, 100_000)])
        except LogError as error:
            assert error.retry
            assert log.metadata() == before
            refused += 1
    assert 10 < log.next_offset < 25, log.next_offset
    assert refused == 30 - log.next_offset
    assert len(stored(log)) == log.next_offset
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    place = log.next_offset
    assert log.append([lines(1, 100_000)]) == [place]
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("this machine has no mount command")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"only root may mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_keeps_what_is_stored_and_recovers(small_disk: Path) -> None:
    with Log.open(small_disk / "log", LogSettings(max_bytes=64 * MIB)) as log:
        log.start_consumer("spark", "earliest")
        fill(log, [lines(1, 100_000)])
        count = log.next_offset
        assert 20 < count < 60
        assert len(stored(log)) == count
        (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        with pytest.raises(LogFull, match="bytes are free on the disk"):
            log.append([lines(1, 100_000)])
        log.commit("spark", count - 1)
        while log.retain(0).more:
            pass
        assert log.append([lines(1, 100_000)]) == [count]
        assert log.append([lines(1, 100_000)] * 2) == [count + 1, count + 2]
    assert verify(small_disk / "log").ok


def test_a_log_opens_and_reads_on_a_disk_that_is_full_already(small_disk: Path) -> None:
    folder = small_disk / "log"
    with Log.open(folder, LogSettings(max_bytes=64 * MIB)) as log:
        log.append([lines(3, 1000)])
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with Log.open(folder, LogSettings(max_bytes=64 * MIB)) as log:
        assert len(stored(log)) == 1
        with pytest.raises(LogFull):
            log.append([lines(1, 100_000)])
        (small_disk / "other").unlink()
        assert log.append([lines(1, 100_000)]) == [3]


def test_a_file_that_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "log")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert verify(tmp_path / "log").ok
