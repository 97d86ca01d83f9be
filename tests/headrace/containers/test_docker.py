"""Finding an engine, reading its answers; and a command line that needs nothing but the standard library."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.containers.docker import Container, Engine, check_command, read_container
from headrace.errors import MissingPrerequisite
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

INSPECTED = {
    "Id": "abc",
    "Name": "/p_bridge_2",
    "RestartCount": 3,
    "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z", "Health": {"Status": "healthy"}},
    "Config": {
        "Labels": {"com.docker.compose.service": "bridge", "com.docker.compose.container-number": "2"},
        "Healthcheck": {"Test": ["CMD", "python", "-m", "x"]},
    },
}
"""The part of an answer of `docker inspect` (engine 20.10, compose 1.29.2) that is read."""


def put(folder: Path, name: str, script: str) -> None:
    """Put a program onto the PATH that is only this folder."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def run(path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    # -S: no site-packages, as on a machine without the virtual environment.
    return subprocess.run(
        [sys.executable, "-S", "-m", "headrace.containers", *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_an_engine_two_lines_say_how_to_get_one_and_how_to_go_on(tmp_path: Path) -> None:
    ended = run(tmp_path, "--folder", tmp_path / "containers", "up")
    first, second = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert first.startswith("headrace: there is no Docker engine: install one")
    assert "apt-get install docker.io docker-compose" in first
    assert second == "headrace: or go on without containers: `make run`"
    assert not (tmp_path / "containers").exists()


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        ("echo 'permission denied while trying to connect' >&2; exit 1", "usermod -aG docker"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "systemctl start docker"),
        ('[ "$1" = version ] && echo 20.10.24', "there is no Docker compose 1.27 or newer"),
    ],
)
def test_what_is_wrong_with_an_engine_is_told_apart(tmp_path: Path, docker: str, said: str) -> None:
    put(tmp_path, "docker", docker)
    with pytest.raises(MissingPrerequisite, match=said) as caught:
        Engine("p", {}, {"PATH": str(tmp_path)})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("version_2", "version_1", "words"),
    [
        ("echo v2.24.0", "echo 1.29.2", ["docker", "compose"]),
        ("exit 1", "echo 1.29.2", ["docker-compose"]),
        ("exit 1", "echo 1.26.0", None),
    ],
)
def test_compose_version_2_is_taken_before_version_1_and_what_is_too_old_is_not(
    tmp_path: Path, version_2: str, version_1: str, words: list[str] | None
) -> None:
    put(tmp_path, "docker", f'if [ "$1" = compose ]; then {version_2}; else echo 20.10; fi')
    put(tmp_path, "docker-compose", version_1)
    if words is None:
        with pytest.raises(MissingPrerequisite):
            Engine("p", {}, {"PATH": str(tmp_path)})
        return
    command = Engine("p", {}, {"PATH": str(tmp_path)}).compose_command("up")
    assert [os.path.basename(word) for word in command[: len(words)]] == words  # noqa: PTH119 - words, not paths
    assert command[-1] == "up"


def test_an_answer_of_the_engine_is_read() -> None:
    assert read_container(INSPECTED) == Container(
        id="abc",
        name="p_bridge_2",
        service="bridge",
        number=2,
        state="running",
        health="healthy",
        restarts=3,
        exit_code=0,
        started="2026-01-01T00:00:00Z",
        test=("python", "-m", "x"),
    )


@pytest.mark.parametrize(
    ("test", "command"),
    [(["CMD", "a", "b"], ("a", "b")), (["CMD-SHELL", "a | b"], ("sh", "-c", "a | b")), (["NONE"], ()), ([], ())],
)
def test_a_health_check_is_turned_into_the_command_that_it_runs(test: list[str], command: tuple[str, ...]) -> None:
    assert check_command(test) == command


def test_a_wrong_use_ends_with_2_and_a_reset_of_nothing_with_0(tmp_path: Path) -> None:
    assert run(tmp_path, "dwon").returncode == 2
    assert run(tmp_path, "--folder", tmp_path / "containers", "reset").returncode == 0
    nothing = run(tmp_path, "--folder", tmp_path / "containers", "drop", "x.log")
    assert nothing.returncode == 1
    assert "`make up` makes it" in nothing.stderr


def test_a_file_is_handed_over_without_an_engine_at_hand(tmp_path: Path) -> None:
    (tmp_path / "containers" / "spool").mkdir(parents=True)
    (tmp_path / "a.log").write_text("one\ntwo\n")
    ended = run(tmp_path, "--folder", tmp_path / "containers", "drop", tmp_path / "a.log")
    assert ended.returncode == 0, ended.stderr
    assert "2 lines handed over" in ended.stdout
    (dropped,) = (tmp_path / "containers" / "spool").iterdir()
    assert dropped.read_text() == "one\ntwo\n"
    assert dropped.stat().st_mode & 0o444 == 0o444
