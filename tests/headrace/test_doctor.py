"""The checks of this machine: each finds what is wrong, and says what to do."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

import pytest

from headrace import doctor

if TYPE_CHECKING:
    from pathlib import Path


def test_every_check_has_a_name_of_its_own_and_no_advice_when_nothing_is_wrong(tmp_path: Path) -> None:
    found = list(doctor.examine(tmp_path / "state", tmp_path / "state" / "spool"))
    names = [each.name for each in found]
    assert len(names) == len(set(names)) == 10
    assert [each.name for each in found if bool(each.advice) is (each.level == "ok")] == []
    assert list(tmp_path.iterdir()) == [], "a check creates nothing"


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10, 9), "fault"), ((3, 11, 0), "ok"), ((3, 13, 7), "ok"), ((3, 14, 0), "fault")]
)
def test_a_python_outside_of_the_range_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], level: str
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    found = doctor.check_python()
    assert (found.level, found.found) == (level, ".".join(map(str, version)))
    assert ("apt-get install python3" in found.advice) is (level == "fault")


def test_the_range_of_pythons_is_that_of_the_project() -> None:
    from tests.support.source_tree import ROOT

    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    low, below = doctor.PYTHON_MINIMUM, doctor.PYTHON_BELOW
    assert f'requires-python = ">={low[0]}.{low[1]},<{below[0]}.{below[1]}"' in text


def test_missing_java_is_a_fault_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = doctor.check_java()
    assert found.level == "fault"
    assert "apt-get install openjdk-17-jre-headless" in found.advice


def test_jars_that_were_not_fetched_are_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path))
    found = doctor.check_jars()
    assert (found.level, "headrace jars" in found.advice) == ("warning", True)
    assert str(tmp_path) in found.found


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = doctor.check_writable("spool folder", tmp_path / "file" / "spool")
    assert (found.level, found.found) == ("fault", f"{tmp_path / 'file'} cannot be written")
    assert doctor.check_writable("spool folder", tmp_path).found == f"{tmp_path} is writable"
    assert doctor.check_writable("spool folder", tmp_path / "a" / "b").found == f"{tmp_path / 'a' / 'b'} can be created"


def test_little_room_and_few_files_are_warnings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "FREE_DISK_BYTES", 1 << 62)
    monkeypatch.setattr(doctor, "MEMORY_BYTES", 1 << 62)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    found = [doctor.check_disk(tmp_path / "not" / "yet"), doctor.check_memory(), doctor.check_open_files()]
    assert [each.level for each in found] == ["warning"] * 3
    assert found[2].advice == "raise it in this shell: `ulimit -n 1024`"
