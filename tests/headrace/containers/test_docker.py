"""Finding a Docker engine and compose, and reading what they print."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from headrace.containers.docker import Container, Engine, check_command, read_container
from headrace.containers.places import COMPOSE_FILE
from headrace.errors import MissingPrerequisite

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


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        ("echo 'permission denied while trying to connect' >&2; exit 1", "usermod -aG docker"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "systemctl start docker"),
        ('[ "$1" = version ] && echo 20.10.24', "no Docker compose 1.27 or newer was found"),
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


def test_relative_paths_of_the_compose_file_start_in_the_project_folder(tmp_path: Path) -> None:
    put(tmp_path, "docker", "echo 2.30.0")
    command = Engine("p", {}, {"PATH": str(tmp_path)}, tmp_path / "build" / "docker").compose_command("build")
    assert command[command.index("--project-directory") + 1] == str(tmp_path / "build" / "docker")
    assert command[command.index("-f") + 1] == str(COMPOSE_FILE)
