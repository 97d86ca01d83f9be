"""Shell scripts and Dockerfiles pass their checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source_tree import ROOT, project_files, shown

BIN = Path(sys.executable).parent


def is_shell(path: Path) -> bool:
    """Return whether the first line of a file makes it a shell script, whatever its name."""
    with path.open("rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and first.split()[-1].rpartition(b"/")[2] in {b"sh", b"bash"}


def shell_scripts() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".sh" or is_shell(path)]


def dockerfiles() -> list[Path]:
    return [path for path in project_files() if path.name.startswith("Dockerfile") or path.suffix == ".Dockerfile"]


def run(*command: object) -> str:
    """Return the output of a checker; an empty text if it finds nothing."""
    ended = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def test_scripts_are_found_by_their_first_line() -> None:
    assert ROOT / ".ci" / "run" in shell_scripts()


@pytest.mark.parametrize("script", shell_scripts(), ids=shown)
def test_a_shell_script_passes_shellcheck(script: Path) -> None:
    assert run(BIN / "shellcheck", "--enable=avoid-nullary-conditions,deprecate-which", script) == ""


@pytest.mark.parametrize("dockerfile", dockerfiles(), ids=shown)
def test_a_dockerfile_passes_hadolint(dockerfile: Path) -> None:
    assert run(BIN / "hadolint", "--no-color", dockerfile) == ""


def test_the_checkers_catch_what_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\ncd $1\n")
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN apt-get install curl\n")
    assert "SC2086" in run(BIN / "shellcheck", tmp_path / "script")
    assert "DL3007" in run(BIN / "hadolint", "--no-color", tmp_path / "Dockerfile")
