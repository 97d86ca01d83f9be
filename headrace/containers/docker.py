"""The Docker engine and compose, spoken to through their command lines.

Containers are found by the labels that compose gives them, never by their names: version 1 and version 2 name them
differently. Their commands differ little otherwise; what only one of them has is not used.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.containers.settings import DOCKER
from headrace.errors import ContainersFailed, MissingPrerequisite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

COMPOSE_FILE = DOCKER / "compose.yaml"
OLDEST_COMPOSE = (1, 27)
QUICK_S = 30.0
LABEL = "com.docker.compose."
TAIL_LINES = 15

INSTALL = (
    "install one (Debian, Ubuntu: `sudo apt-get install docker.io docker-compose`; Fedora: `sudo dnf install "
    "moby-engine docker-compose`; macOS: `brew install colima docker docker-compose`, then `colima start`)"
)
WITHOUT = "or go on without containers: `make run`"


@dataclass(frozen=True)
class Container:
    """One container of the project, as the engine sees it.

    ``state`` is the engine's word (running, restarting, exited, ...), ``health`` that of its health check (healthy,
    unhealthy, starting, or empty), ``test`` the check's command.
    """

    id: str
    name: str
    service: str
    number: int
    state: str
    health: str
    restarts: int
    exit_code: int
    started: str
    test: tuple[str, ...]


class Engine:
    """A project's containers. Making the object asks whether there is an engine and a compose.

    Args:
        project: compose's project name.
        variables: what the compose file is filled in with, beside this process's environment.

    Raises:
        MissingPrerequisite: there is none; the text has two lines: how to get one, and how to go on without.
    """

    def __init__(self, project: str, variables: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self.project = project
        self._environment = {**environment, **variables}
        self._docker = _find_docker(self._environment)
        self._compose = _find_compose(self._docker, self._environment)

    def set_variable(self, name: str, value: str) -> None:
        """Fill in a variable of the compose file."""
        self._environment[name] = value

    def compose(self, *arguments: str, log: Path | None = None) -> None:
        """Run a compose command; what it says goes to ``log`` and is shown only when it fails.

        Raises:
            ContainersFailed: it ended with an error; the text has the end of what it said.
        """
        ended = subprocess.run(
            self.compose_command(*arguments),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if log is not None:
            log.write_text(ended.stdout, encoding="utf-8")
        if ended.returncode != 0:
            tail = "\n".join(line for line in ended.stdout.splitlines()[-TAIL_LINES:] if line.strip())
            raise ContainersFailed(f"compose {arguments[0]} has failed:\n{tail}")

    def compose_command(self, *arguments: str) -> list[str]:
        """Return the words of a compose command on this project."""
        return [*self._compose, "-p", self.project, "-f", str(COMPOSE_FILE), *arguments]

    def docker_command(self, *arguments: str) -> list[str]:
        """Return the words of a docker command."""
        return [self._docker, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The environment that commands of this object need."""
        return dict(self._environment)

    def containers(self) -> list[Container]:
        """Return the project's containers, by service and number; those that have ended too.

        Raises:
            ContainersFailed: the engine does not answer.
        """
        listed = self._run("ps", "-aq", "--filter", f"label={LABEL}project={self.project}").split()
        if not listed:
            return []
        # One that ends between the two questions is no error.
        found = subprocess.run(
            [self._docker, "inspect", *listed], env=self._environment, capture_output=True, text=True, check=False
        )
        try:
            inspected: list[dict[str, Any]] = json.loads(found.stdout or "[]")
        except ValueError as error:
            raise ContainersFailed(f"the engine's answer cannot be understood: {error}") from error
        return sorted((read_container(each) for each in inspected), key=lambda each: (each.service, each.number))

    def running(self, service: str) -> list[Container]:
        """Return the containers of a service that run."""
        return [each for each in self.containers() if each.service == service and each.state == "running"]

    def inside(self, container: Container, *command: str, timeout_s: float = QUICK_S) -> tuple[int, str]:
        """Run a command in a container; return its exit code and what it said, both streams together."""
        try:
            ended = subprocess.run(
                [self._docker, "exec", container.id, *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 1, f"no answer within {timeout_s:g} s"
        return ended.returncode, ended.stdout

    def last_words(self, container: Container, lines: int = TAIL_LINES) -> str:
        """Return the end of what a container has logged."""
        ended = subprocess.run(
            [self._docker, "logs", "--tail", str(lines), container.id],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return ended.stdout.strip()

    def volumes(self) -> list[str]:
        """Return the names of the project's volumes."""
        return self._run("volume", "ls", "-q", "--filter", f"label={LABEL}project={self.project}").split()

    def _run(self, *arguments: str) -> str:
        ended = subprocess.run(
            [self._docker, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=QUICK_S,
            check=False,
        )
        if ended.returncode != 0:
            raise ContainersFailed(f"docker {arguments[0]}: {ended.stderr.strip()}")
        return ended.stdout


def read_container(inspected: Mapping[str, Any]) -> Container:
    """Take what is of use from the answer of ``docker inspect``."""
    state, labels = inspected["State"], inspected["Config"]["Labels"]
    check = inspected["Config"].get("Healthcheck") or {}
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        service=labels[f"{LABEL}service"],
        number=int(labels.get(f"{LABEL}container-number", "1")),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        restarts=inspected.get("RestartCount", 0),
        exit_code=state.get("ExitCode", 0),
        started=state.get("StartedAt", ""),
        test=check_command(check.get("Test") or ()),
    )


def check_command(test: Sequence[str]) -> tuple[str, ...]:
    """Return the command of a health check as the engine has it: CMD and words, or CMD-SHELL and one text."""
    match list(test):
        case ["CMD", *words]:
            return tuple(words)
        case ["CMD-SHELL", text]:
            return ("sh", "-c", text)
        case _:
            return ()


def _find_docker(environment: Mapping[str, str]) -> str:
    docker = shutil.which("docker", path=environment.get("PATH"))
    if docker is None:
        raise MissingPrerequisite(f"there is no Docker engine: {INSTALL}\n{WITHOUT}")
    asked = subprocess.run(
        [docker, "version", "--format", "{{.Server.Version}}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=QUICK_S,
        check=False,
    )
    if asked.returncode != 0:
        if "permission denied" in asked.stderr.lower():
            hint = "this account may not use the Docker engine: `sudo usermod -aG docker $USER`, then log in again"
        else:
            hint = "the Docker engine does not run: `sudo systemctl start docker` (macOS: `colima start`)"
        raise MissingPrerequisite(f"{hint}\n{WITHOUT}")
    return docker


def _find_compose(docker: str, environment: Mapping[str, str]) -> list[str]:
    alone = shutil.which("docker-compose", path=environment.get("PATH"))
    for command in ([docker, "compose"], [alone] if alone else []):
        if not command:
            continue
        asked = subprocess.run(
            [*command, "version", "--short"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=QUICK_S,
            check=False,
        )
        version = re.match(r"v?(\d+)\.(\d+)", asked.stdout.strip()) if asked.returncode == 0 else None
        if version is not None and (int(version[1]), int(version[2])) >= OLDEST_COMPOSE:
            return command
    raise MissingPrerequisite(
        "there is no Docker compose 1.27 or newer: `sudo apt-get install docker-compose` (Fedora: `sudo dnf install "
        f"docker-compose`, macOS: `brew install docker-compose`)\n{WITHOUT}"
    )
