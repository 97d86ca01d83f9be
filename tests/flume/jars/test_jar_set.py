"""A set of jars: where the cache is, which changes give it another folder, and that only recorded bytes are used."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flume.errors import JarsDiffer, JarsMissing
from flume.jars.jar_set import JarSet, cache_root, check_jars, filled, key_of, read_checksums


@pytest.mark.parametrize(
    ("variables", "platform", "folder"),
    [
        ({"HEADRACE_CACHE": "~/mine", "XDG_CACHE_HOME": "/xdg"}, "linux", "/h/me/mine"),
        ({"XDG_CACHE_HOME": "/xdg"}, "linux", "/xdg/headrace"),
        ({"XDG_CACHE_HOME": "/xdg"}, "darwin", "/xdg/headrace"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "linux", "/h/me/.cache/headrace"),
        ({"HEADRACE_CACHE": "", "XDG_CACHE_HOME": ""}, "linux", "/h/me/.cache/headrace"),
        ({}, "darwin", "/h/me/Library/Caches/headrace"),
    ],
)
def test_the_cache_is_the_users_wherever_the_code_lies(
    variables: dict[str, str], platform: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEADRACE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/h/me")
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_root() == Path(folder)


def test_a_folder_belongs_to_the_recorded_bytes_and_not_to_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path))
    record = tmp_path / "checksums.txt"
    jars = JarSet("some", tmp_path / "pom.xml", record, "some.module")
    line = "0" * 64 + "  one.jar\n"
    record.write_text(line)
    folder = jars.folder()
    assert folder.parent == tmp_path / "some"
    record.write_text("# a comment\n\n" + line)
    assert jars.folder() == folder
    record.write_text("1" + line[1:])
    assert jars.folder() != folder
    assert replace(jars, name="other").folder().parent == tmp_path / "other"


def test_keys_tell_names_and_texts_apart() -> None:
    assert key_of({"a": "b", "c": "d"}) == key_of({"c": "d", "a": "b"})
    assert len({key_of({"a": "bc"}), key_of({"ab": "c"}), key_of({}), key_of({"a": "b", "c": ""})}) == 4


def test_a_folder_is_filled_once_and_leftovers_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "key"
    (tmp_path / "set" / "key.part").mkdir(parents=True)
    (tmp_path / "set" / "key.part" / "left.jar").touch()
    calls: list[Path] = []

    def fill(work: Path) -> list[Path]:
        calls.append(work)
        work.mkdir()
        (work / "a.jar").write_bytes(b"a")
        return [work / "a.jar"]

    assert filled(folder, fill) == [folder / "a.jar"]
    assert filled(folder, fill) == [folder / "a.jar"]
    assert len(calls) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["a.jar", "complete.json"]
    (folder / "a.jar").write_bytes(b"another size")
    assert filled(folder, fill) == [folder / "a.jar"]
    assert (folder / "a.jar").read_bytes() == b"a"


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    def fails(work: Path) -> list[Path]:
        work.mkdir()
        raise JarsMissing("no network")

    with pytest.raises(JarsMissing, match="no network"):
        filled(tmp_path / "set" / "key", fails)
    assert [path.name for path in (tmp_path / "set").iterdir()] == [".lock"]


def test_unknown_and_absent_jars_are_refused(tmp_path: Path) -> None:
    known, unknown, record = tmp_path / "known.jar", tmp_path / "unknown.jar", tmp_path / "checksums.txt"
    known.write_bytes(b"1")
    unknown.write_bytes(b"2")
    recorded = {"known.jar": hashlib.sha256(b"1").hexdigest()}
    check_jars([known], recorded, record)
    with pytest.raises(JarsDiffer, match=r"unknown\.jar is not in checksums\.txt"):
        check_jars([known, unknown], recorded, record)
    with pytest.raises(JarsDiffer, match=r"recorded in checksums\.txt but missing: known\.jar"):
        check_jars([], recorded, record)
    known.write_bytes(b"2")
    with pytest.raises(JarsDiffer, match=r"known\.jar: its SHA-256 is"):
        check_jars([known], recorded, record)


@pytest.mark.parametrize("line", ["abc  one.jar", "0" * 64 + " one.jar", "0" * 64 + "  one.zip", "one.jar"])
def test_a_damaged_record_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "checksums.txt").write_text(f"# heading\n{line}\n")
    with pytest.raises(JarsDiffer, match="line 2"):
        read_checksums(tmp_path / "checksums.txt")
    with pytest.raises(JarsDiffer, match="cannot be read"):
        read_checksums(tmp_path / "none.txt")
