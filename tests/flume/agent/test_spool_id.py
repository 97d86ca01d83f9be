"""A spool folder has one id for ever, and a file in it the same id in Python and in Java."""

from __future__ import annotations

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from flume.agent.spool_id import SPOOL_ID_FILE, file_id, spool_id
from flume.errors import AgentError
from tests.support.block_java import BlockJava, block_java

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPOOL = "0123456789abcdef" * 2
MTIME_NS = 1_700_000_000_123_999_999


def made(folder: Path, name: str, content: bytes, mtime_ns: int = MTIME_NS) -> Path:
    path = folder / name
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def test_the_id_is_made_once(tmp_path: Path) -> None:
    first = spool_id(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert spool_id(tmp_path) == first
    (path,) = tmp_path.iterdir()
    assert (path.name, path.read_bytes()) == (SPOOL_ID_FILE, first.encode() + b"\n")
    # An agent of another user may run in the folder; the id is no secret.
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR
    other = tmp_path / "other"
    other.mkdir()
    assert spool_id(other) != first


def test_all_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            assert len(set(pool.map(spool_id, [folder] * 8))) == 1
            assert [path.name for path in folder.iterdir()] == [SPOOL_ID_FILE]


@pytest.mark.parametrize("content", [b"", SPOOL.encode(), SPOOL.encode() + b"\n\n", SPOOL.upper().encode() + b"\n"])
def test_a_damaged_id_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / SPOOL_ID_FILE
    path.write_bytes(content)
    with pytest.raises(AgentError, match=r"\.headrace-spool-id: not a spool id.*Restore the file"):
        spool_id(tmp_path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"none.*No such file"):
        spool_id(tmp_path / "none")


GOLDEN = [
    ("access.log", b"", "92936d58695eccf4dd6109c7ac1ec85a"),
    ("access.log", b"GET /\n", "b21882887a2fc81e6febb6a610991392"),
    ("zugriff ö.log", b"x" * 4097, "960f90018857fd276ee85f2661879798"),
]


@pytest.mark.parametrize(("name", "content", "digest"), GOLDEN)
def test_a_file_has_the_id_that_it_always_had(tmp_path: Path, name: str, content: bytes, digest: str) -> None:
    """Bridges keep these ids: another way to compute them would count every file in a spool folder again."""
    assert file_id(SPOOL, made(tmp_path, name, content)) == f"{SPOOL}-{digest}"


def test_what_is_part_of_the_id(tmp_path: Path) -> None:
    content = b"a" * 10_000
    ids = [
        file_id(SPOOL, made(tmp_path, "a", content)),
        file_id(SPOOL, made(tmp_path, "b", content)),
        file_id(SPOOL, made(tmp_path, "a", content + b"a")),
        file_id(SPOOL, made(tmp_path, "a", content, MTIME_NS + 1_000_000)),
        file_id(SPOOL, made(tmp_path, "a", content[:4095] + b"b" + content[4096:])),
        file_id(SPOOL, made(tmp_path, "a", content[:-4096] + b"b" + content[-4095:])),
        file_id(SPOOL[::-1], made(tmp_path, "a", content)),
    ]
    assert len(set(ids)) == len(ids)
    # Not part of it: what lies between, and what a clock of milliseconds does not show.
    between = content[:4096] + b"b" + content[4097:]
    assert file_id(SPOOL, made(tmp_path, "a", between, MTIME_NS - 999_999)) == ids[0]


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockJava]:
    with block_java(tmp_path_factory.mktemp("java")) as running:
        yield running


NAMES = ["plain.log", "with blank .log", "ümläut-日本語-🙂.log", "-dash", "a" * 255, "a\nb", "back\\slash", "%s$x*"]


@pytest.mark.java
@pytest.mark.parametrize("name", NAMES)
def test_java_gives_a_name_the_same_id(tmp_path: Path, java: BlockJava, name: str) -> None:
    path = made(tmp_path, name, b"some lines\n")
    expected = file_id(spool_id(tmp_path), path)
    assert java.name(tmp_path, path).file == expected


@pytest.mark.java
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 100_000])
@pytest.mark.parametrize("mtime_ns", [MTIME_NS, 0, -1_500_000, 2**33 * 1_000_000_000 + 999_999])
def test_java_gives_a_size_and_a_time_the_same_id(tmp_path: Path, java: BlockJava, size: int, mtime_ns: int) -> None:
    path = made(tmp_path, "access.log", (bytes(range(251)) * 400)[:size], mtime_ns)
    expected = file_id(spool_id(tmp_path), path)
    block = java.name(tmp_path, path)
    assert (block.file, block.size) == (expected, str(size))


@pytest.mark.java
def test_java_says_what_to_do_without_the_id_of_the_folder(tmp_path: Path, java: BlockJava) -> None:
    path = made(tmp_path, "access.log", b"line\n")
    with pytest.raises(ValueError, match=r"FlumeException: .*\.headrace-spool-id: .* cannot be read\. The launcher of"):
        java.name(tmp_path, path)
    for content in (b"", SPOOL.encode(), SPOOL.encode() + b"\r\n", SPOOL.upper().encode() + b"\n"):
        (tmp_path / SPOOL_ID_FILE).write_bytes(content)
        with pytest.raises(ValueError, match=r"FlumeException: .*: not a spool id, .* Restore the file"):
            java.name(tmp_path, path)
