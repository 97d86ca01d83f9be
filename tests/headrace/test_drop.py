"""Handing files over: whole, in order, under names never used, and nothing at all when something is wrong."""

from __future__ import annotations

import gzip
import os
import threading
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from headrace.drop import PART_LIFETIME_S, PART_PREFIX, PART_SUFFIX, drop, remove_left_overs, safe_name
from headrace.errors import ArchiveDamaged, DropError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

LINES = b"".join(b"line %d of a log\n" % n for n in range(5000))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def handed_over(spool: Path) -> list[Path]:
    """Return what the agent would read, in its order: oldest modification time in milliseconds, ties by name."""
    visible = [path for path in spool.iterdir() if not path.name.startswith(".")]
    return sorted(visible, key=lambda path: (path.stat().st_mtime_ns // 1_000_000, path.name))


def test_a_plain_file_arrives_whole_and_the_original_stays(tmp_path: Path) -> None:
    source = write(tmp_path / "access.log", LINES)
    before = source.stat()
    (dropped,) = drop([source], tmp_path / "spool")
    assert dropped.target is not None
    assert dropped.target.read_bytes() == LINES
    assert (dropped.lines, dropped.size_bytes) == (5000, len(LINES))
    assert source.read_bytes() == LINES
    assert (source.stat().st_mtime_ns, source.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    assert list((tmp_path / "spool").iterdir()) == [dropped.target]


def two_members(content: bytes) -> bytes:
    half = len(content) // 2
    return gzip.compress(content[:half]) + gzip.compress(content[half:])


def two_frames(content: bytes) -> bytes:
    half = len(content) // 2
    return zstandard.compress(content[:half]) + zstandard.compress(content[half:])


PACKERS = [
    ("a.log.gz", gzip.compress),
    ("b.log.GZ", two_members),
    ("c.log.gz", lambda content: gzip.compress(content) + b"\0" * 512),
    ("d.log.zst", zstandard.compress),
    ("e.log.zst", two_frames),
]


@pytest.mark.parametrize(("name", "pack"), PACKERS)
def test_compressed_files_are_unpacked_on_the_way(tmp_path: Path, name: str, pack: object) -> None:
    assert callable(pack)
    source = write(tmp_path / name, pack(LINES))
    (dropped,) = drop([source], tmp_path / "spool")
    assert dropped.target is not None
    assert dropped.target.read_bytes() == LINES
    assert dropped.lines == 5000
    # The agent reads any suffix as text, so a name must not promise what is no longer true.
    assert dropped.target.name.endswith(f"-{name[0]}.log")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "plain"])
def test_a_damaged_archive_means_that_nothing_is_handed_over(tmp_path: Path, suffix: str, damage: str) -> None:
    packed = gzip.compress(LINES) if suffix == ".gz" else zstandard.compress(LINES)
    content = {"cut": packed[:-7], "garbage": packed + b"garbage", "plain": LINES}[damage]
    good = write(tmp_path / "good.log", LINES)
    bad = write(tmp_path / f"bad.log{suffix}", content)
    with pytest.raises(ArchiveDamaged, match=r"bad\.log"):
        drop([good, bad], tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=2))
def test_every_cut_of_an_archive_is_noticed(content: bytes, kind: int) -> None:
    import tempfile
    from pathlib import Path

    packed = (gzip.compress(content), two_members(content), zstandard.compress(content))[kind]
    suffix = ".zst" if kind == 2 else ".gz"
    borders = {0, len(gzip.compress(content[: len(content) // 2]))} if kind == 1 else {0}
    with tempfile.TemporaryDirectory() as folder:
        for cut in {1, len(packed) // 3, len(packed) // 2, len(packed) - 1} - borders:
            source = write(Path(folder, f"cut{suffix}"), packed[:cut])
            with pytest.raises(ArchiveDamaged):
                drop([source], Path(folder, "spool"))


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (zstandard.compress, ".zst")])
def test_what_unpacks_without_end_is_refused(tmp_path: Path, pack: object, suffix: str) -> None:
    assert callable(pack)
    source = write(tmp_path / f"bomb{suffix}", pack(b"\0" * (80 << 20)))
    with pytest.raises(ArchiveDamaged, match="times its size"):
        drop([source], tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


def test_lines_are_counted_as_flume_does(tmp_path: Path) -> None:
    contents = [b"one\ntwo", b"one\ntwo\n", b"\n\n", b"no newline", b"\r\n"]
    sources = [write(tmp_path / f"{n}.log", content) for n, content in enumerate(contents)]
    assert [dropped.lines for dropped in drop(sources, tmp_path / "spool")] == [2, 2, 2, 1, 1]


def test_an_empty_file_is_not_handed_over(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.log", b"")
    packed = write(tmp_path / "empty.log.gz", gzip.compress(b""))
    dropped = drop([empty, packed], tmp_path / "spool")
    assert [(one.target, one.lines) for one in dropped] == [(None, 0), (None, 0)]
    assert list((tmp_path / "spool").iterdir()) == []


def test_several_files_keep_their_order_and_one_name_may_come_twice(tmp_path: Path) -> None:
    sources = [write(tmp_path / name, name.encode()) for name in ("z.log", "a.log", "m.log")]
    drop([*sources, sources[0]], tmp_path / "spool", clock=lambda: 1_700_000_000.0)
    assert [path.read_bytes() for path in handed_over(tmp_path / "spool")] == [b"z.log", b"a.log", b"m.log", b"z.log"]


def test_hand_overs_at_the_same_moment_do_not_disturb_each_other(tmp_path: Path) -> None:
    source = write(tmp_path / "access.log", LINES)
    failures: list[BaseException] = []

    def hand_over() -> None:
        try:
            drop([source, source], tmp_path / "spool", clock=lambda: 1_700_000_000.0)
        except BaseException as failure:  # noqa: BLE001 - shown by the assertion below
            failures.append(failure)

    threads = [threading.Thread(target=hand_over) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.read_bytes() for path in handed_over(tmp_path / "spool")] == [LINES] * 16


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda _: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_copied(tmp_path: Path, make: object, text: str) -> None:
    assert callable(make)
    good = write(tmp_path / "good.log", LINES)
    make(tmp_path / "bad.log")
    with pytest.raises(UsageError, match=text):
        drop([good, tmp_path / "bad.log"], tmp_path / "spool")
    assert not (tmp_path / "spool").exists()


def test_left_overs_of_a_crash_go_when_they_are_old(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    ages = {"old": PART_LIFETIME_S + 1, "young": PART_LIFETIME_S - 1}
    for name, age in ages.items():
        part = write(tmp_path / f"{PART_PREFIX}{name}{PART_SUFFIX}", b"half")
        os.utime(part, (now - age, now - age))
    other = write(tmp_path / ".somebody-elses", b"")
    os.utime(other, (0, 0))
    removed = remove_left_overs(tmp_path, now)
    assert [path.name for path in removed] == [f"{PART_PREFIX}old{PART_SUFFIX}"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_hands_nothing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.drop.RESERVE_BYTES", 1 << 62)
    with pytest.raises(DropError, match="no room"):
        drop([write(tmp_path / "a.log", LINES)], tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spool_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "a.log", LINES)
    with pytest.raises(DropError, match=r"cannot write into the spool folder"):
        drop([source], write(tmp_path / "spool", b"a file") / "below")


def test_progress_tells_of_every_byte_read(tmp_path: Path) -> None:
    source = write(tmp_path / "access.log.gz", gzip.compress(LINES))
    read: list[int] = []

    def note(source: Path, read_bytes: int) -> None:
        assert source.name == "access.log.gz"
        read.append(read_bytes)

    drop([source], tmp_path / "spool", progress=note)
    assert sum(read) == source.stat().st_size


@given(st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name and "\0" not in name))
def test_names_become_harmless(name: str) -> None:
    from pathlib import Path

    safe = safe_name(Path(name))
    assert safe
    assert len(safe) <= 120
    assert not safe.startswith(".")
    assert not safe.lower().endswith((".gz", ".zst", ".completed"))
    assert all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in safe)
