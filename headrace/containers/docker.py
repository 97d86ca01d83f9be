"""The Docker engine and compose, called through their command lines.

Containers are found by the labels that compose gives them, never by their names, because compose 1 and compose 2 name
them differently. Only options that both versions have are used.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.containers.hints import typed
from headrace.containers.places import COMPOSE_FILE
from headrace.errors import ContainersFailed, MissingPrerequisite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OLDEST_COMPOSE = (1, 27)
QUICK_S = 30.0
LABEL = "com.docker.compose."
TAIL_LINES = 15

INSTALL = (
    "install one (Debian, Ubuntu: `sudo apt-get install docker.io docker-compose`; Fedora: `sudo dnf install "
    "moby-engine docker-compose`; macOS: `brew install colima docker docker-compose`, then `colima start`)"
)


@dataclass(frozen=True)
class Container:
    """One container of the project, as the engine describes it.

    Attributes:
        id: the engine's id.
        name: the engine's name, which depends on the version of compose.
        service: the service in the compose file.
        number: from 1, among the containers of the service.
        state: running, restarting, exited, ...
        health: healthy, unhealthy, starting, or empty without a health check.
        restarts: how often the engine has started it again.
        exit_code: of the last end.
        started: when it was started last, ISO 8601.
        test: the command of its health check.
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
    """A project's containers. The constructor looks for a Docker engine and compose.

    Args:
        project: compose's project name.
        variables: values for the variables in the compose file; they go before ``environment``.
        environment: the environment of this process.
        project_folder: where relative paths in the compose file start.

    Raises:
        MissingPrerequisite: the engine or compose is missing. The text has two lines: how to get it, and how to go on
            without containers.
    """

    def __init__(
        self,
        project: str,
        variables: Mapping[str, str],
        environment: Mapping[str, str],
        project_folder: Path = COMPOSE_FILE.parent,
    ) -> None:
        self.project = project
        self.project_folder = project_folder
        self._environment = {**environment, **variables}
        self._docker = _find_docker(self._environment)
        self._compose = _find_compose(self._docker, self._environment)

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable of the compose file."""
        self._environment[name] = value

    def compose(self, *arguments: str, log: Path | None = None) -> None:
        """Run a compose command; its output goes to ``log`` and is shown only when it fails.

        Raises:
            ContainersFailed: it ended with an error; the text has the end of its output.
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
            raise ContainersFailed(f"compose {arguments[0]} failed:\n{tail}")

    def compose_command(self, *arguments: str) -> list[str]:
        """Return a compose command on this project, as the words to execute."""
        place = ["-f", str(COMPOSE_FILE), "--project-directory", str(self.project_folder)]
        return [*self._compose, "-p", self.project, *place, *arguments]

    def docker_command(self, *arguments: str) -> list[str]:
        """Return a docker command, as the words to execute."""
        return [self._docker, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which the commands of this object must run."""
        return dict(self._environment)

    def containers(self) -> list[Container]:
        """Return the project's containers by service and number, including those that have ended.

        Raises:
            ContainersFailed: the engine does not answer.
        """
        listed = self._run("ps", "-aq", "--filter", f"label={LABEL}project={self.project}").split()
        if not listed:
            return []
        # A container that is removed between the two questions makes `inspect` fail; the others are in its output.
        found = subprocess.run(
            [self._docker, "inspect", *listed], env=self._environment, capture_output=True, text=True, check=False
        )
        try:
            inspected: list[dict[str, Any]] = json.loads(found.stdout or "[]")
        except ValueError as error:
            raise ContainersFailed(f"docker inspect: its output is not JSON: {error}") from error
        return sorted((read_container(each) for each in inspected), key=lambda each: (each.service, each.number))

    def running(self, service: str) -> list[Container]:
        """Return the running containers of a service."""
        return [each for each in self.containers() if each.service == service and each.state == "running"]

    def run_in(self, container: Container, *command: str, timeout_s: float = QUICK_S) -> tuple[int, str]:
        """Run a command in a container; return its exit code and its output, both streams together."""
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
            # For the caller a health check that hangs is a service that is not healthy yet.
            return 1, f"no answer within {timeout_s:g} s"
        return ended.returncode, ended.stdout

    def log_tail(self, container: Container, lines: int = TAIL_LINES) -> str:
        """Return the newest lines of a container's log."""
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
    """Make a container of what ``docker inspect`` prints about it."""
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
    """Return the command of a health check, which the engine writes as CMD and words or as CMD-SHELL and one text."""
    match list(test):
        case ["CMD", *words]:
            return tuple(words)
        case ["CMD-SHELL", text]:
            return ("sh", "-c", text)
        case _:
            return ()


def _go_on_without() -> str:
    return f"or go on without containers: `{typed('run')}`"


def _find_docker(environment: Mapping[str, str]) -> str:
    docker = shutil.which("docker", path=environment.get("PATH"))
    if docker is None:
        raise MissingPrerequisite(f"no Docker engine was found: {INSTALL}\n{_go_on_without()}")
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
        raise MissingPrerequisite(f"{hint}\n{_go_on_without()}")
    return docker


def _find_compose(docker: str, environment: Mapping[str, str]) -> list[str]:
    alone = shutil.which("docker-compose", path=environment.get("PATH"))
    # Compose 2 first, which is a plug-in of docker; `docker-compose` may be either version.
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
        "no Docker compose 1.27 or newer was found: `sudo apt-get install docker-compose` (Fedora: `sudo dnf install "
        f"docker-compose`, macOS: `brew install docker-compose`)\n{_go_on_without()}"
    )
