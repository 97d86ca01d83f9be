"""The commands for the containers, run as a user without the project's packages runs them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.containers import commands
from headrace.containers.arguments import COMMANDS, SHARED
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def run(path: Path, *arguments: object, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``headrace`` without site-packages, as on a machine without the virtual environment."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "headrace", *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": f"{path}:/bin:/usr/bin" if typed else str(path), **environment},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_an_engine_two_lines_say_how_to_get_one_and_how_to_go_on(tmp_path: Path) -> None:
    ended = run(tmp_path, "up", "--folder", tmp_path / "containers")
    first, second = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert first.startswith("headrace: no Docker engine was found: install one")
    assert "apt-get install docker.io docker-compose" in first
    assert second == "headrace: or go on without containers: `headrace run`"
    assert not (tmp_path / "containers").exists()


def test_a_wrong_use_ends_with_2_and_a_reset_of_nothing_with_0(tmp_path: Path) -> None:
    folder = tmp_path / "containers"
    assert run(tmp_path, "up", "--wrokers", "2").returncode == 2
    assert run(tmp_path, "scale", "--folder", folder).returncode == 2, "nothing to scale is named"
    assert run(tmp_path, "reset", "--folder", folder).returncode == 0
    nothing = run(tmp_path, "drop", "--containers", "--folder", folder, "x.log")
    assert nothing.returncode == 1
    assert "`headrace up` makes it" in nothing.stderr


def test_a_file_is_handed_over_without_an_engine_at_hand(tmp_path: Path) -> None:
    (tmp_path / "containers" / "spool").mkdir(parents=True)
    (tmp_path / "a.log").write_text("one\ntwo\n")
    ended = run(tmp_path, "drop", "--containers", "--folder", tmp_path / "containers", tmp_path / "a.log")
    assert ended.returncode == 0, ended.stderr
    assert "2 lines handed over" in ended.stdout
    (dropped,) = (tmp_path / "containers" / "spool").iterdir()
    assert dropped.read_text() == "one\ntwo\n"
    assert dropped.stat().st_mode & 0o444 == 0o444


def test_every_declared_command_has_its_work_and_no_other() -> None:
    work = {name for name in vars(commands.Commands) if not name.startswith("_")}
    assert work == {command.name for command in (*COMMANDS, *SHARED)}


def test_messages_name_the_targets_of_make_when_make_calls(tmp_path: Path) -> None:
    ended = run(tmp_path, "up", "--folder", tmp_path / "containers", HEADRACE_CALLED_BY="make")
    assert ended.stderr.splitlines()[1] == "headrace: or go on without containers: `make run`"


def test_a_setting_that_means_nothing_is_refused_before_docker_is_asked(tmp_path: Path) -> None:
    ended = run(tmp_path, "up", "--folder", tmp_path / "containers", HEADRACE_WORKER_CORES="two")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "headrace: HEADRACE_WORKER_CORES=two: write a whole number\n"


@pytest.mark.parametrize("answer", ["", "n", "yes please"])
def test_a_reset_that_is_not_confirmed_deletes_nothing(tmp_path: Path, answer: str) -> None:
    # An engine without volumes and containers.
    (tmp_path / "docker").write_text("#!/bin/sh\ncase $1 in version|compose) echo 2.30.0 ;; esac\n")
    (tmp_path / "docker").chmod(0o755)
    spool = tmp_path / "containers" / "spool"
    spool.mkdir(parents=True)
    (spool / "a.log").write_text("one\n")
    ended = run(tmp_path, "reset", "--folder", tmp_path / "containers", typed=f"{answer}\n")
    assert (ended.returncode, ended.stderr) == (0, "headrace: kept\n")
    assert "with 1 files that wait? [y/N]" in ended.stdout
    assert (spool / "a.log").exists()
