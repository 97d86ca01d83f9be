"""``python -m headrace``: the containers' commands need the standard library only, all others the packages."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LOADED = """
import runpy, sys
sys.argv = ["headrace", *sys.argv[1:]]
try:
    runpy.run_module("headrace", run_name="__main__")
except SystemExit as ended:
    print(ended.code, sorted({"typer", "pydantic", "rich", "psutil", "pyspark"} & set(sys.modules)))
"""


def loaded(tmp_path: Path, *arguments: str) -> str:
    """Return the exit code of a command, and which packages it has imported."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.splitlines()[-1]


def without_packages(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-m", "headrace", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["up"], 1), (["scale"], 2), (["logs", "--help"], 0), (["status", "--containers"], 1), (["reset", "--help"], 0)],
)
def test_a_command_for_the_containers_imports_no_package(tmp_path: Path, arguments: list[str], code: int) -> None:
    folder = [] if "--help" in arguments else ["--folder", str(tmp_path / "containers")]
    assert loaded(tmp_path, *arguments, *folder) == f"{code} []"


def test_every_other_command_runs_on_the_packages(tmp_path: Path) -> None:
    code, _, packages = loaded(tmp_path, "stop", "--state", str(tmp_path / "state")).partition(" ")
    assert code == "1"
    assert "typer" in packages
    assert "pyspark" not in packages


def test_the_help_lists_every_command_in_groups() -> None:
    command = [sys.executable, "-m", "headrace", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = [shown.index(title) for title in ("Run on this machine", "Run in containers", "Tools")]
    assert groups == sorted(groups)
    assert "Usage: headrace " in shown
    for name, group in (("demo", 0), ("sql", 0), ("up", 1), ("logs", 1), ("reset", 1), ("doctor", 2), ("log ", 2)):
        end = groups[group + 1] if group < 2 else len(shown)
        assert f"\u2502 {name}" in shown[groups[group] : end], name


def test_without_the_packages_the_command_that_installs_them_is_named() -> None:
    ended = without_packages("status")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "`make setup` installs them" in ended.stderr
    assert without_packages("config", "--help").returncode == 0
