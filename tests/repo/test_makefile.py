"""How the targets of the Makefile choose between the containers and a run on this machine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from headrace.containers.folder import ContainersFolder
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def planned(folder: Path, target: str, *arguments: str) -> str:
    """Return the commands that a target would run."""
    command = ["make", "--dry-run", target, "FILE=x.log", f"CONTAINERS={folder}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("target", "words"), [("drop", "drop --containers"), ("status", "status --containers"), ("stop", "down")]
)
def test_from_up_to_down_they_mean_the_containers(tmp_path: Path, target: str, words: str) -> None:
    containers = ContainersFolder(tmp_path)
    assert f"headrace {target} --state 'state'" in planned(tmp_path, target)
    containers.mark(up=True)
    assert f"-m headrace {words} --folder '{tmp_path}'" in planned(tmp_path, target)
    assert f"headrace {target} --state 'mine'" in planned(tmp_path, target, "STATE=mine")
    containers.mark(up=False)
    assert f"--folder '{tmp_path}'" not in planned(tmp_path, target)


def test_numbers_that_are_not_given_are_left_to_the_command(tmp_path: Path) -> None:
    assert "--workers" not in planned(tmp_path, "up")
    scaled = planned(tmp_path, "scale", "WORKERS=3", "BRIDGES=2")
    assert (
        f"HEADRACE_CALLED_BY=make \"$python\" -m headrace scale --folder '{tmp_path}' --workers '3' --bridges '2'"
        in scaled
    )
