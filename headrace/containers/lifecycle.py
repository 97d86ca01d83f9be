"""The order of ``up``, ``scale``, ``down`` and ``reset``.

::

    up      images ──► bridges ──► their names ──► everything ──► ready
    scale   the same with other numbers: agent and driver are created again with the new list of bridges
    down    agent ──► all stored lines are counted ──► driver ──► workers ──► bridges, master ──► removed, data kept

The number of bridges may grow at any time and never shrinks: each bridge keeps a log, and the job keeps its position in
that log. If a log were not served any more, its lines would be lost; the job would say so and stop.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.containers.hints import typed, typed_number
from headrace.containers.places import IS_CHECKOUT, assemble
from headrace.containers.readiness import Wait
from headrace.containers.settings import PROFILES
from headrace.errors import NotRunning, StateUnusable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.containers.docker import Container, Engine
    from headrace.containers.folder import ContainersFolder, Replicas
    from headrace.containers.settings import Settings

COUNT_WITHIN_S = 90.0
LOOK_S = 1.0
MAX_REPLICAS = 64


class Lifecycle:
    """Changes a project's containers. The caller holds the folder's lock, so one command runs at a time."""

    def __init__(
        self, folder: ContainersFolder, settings: Settings, engine: Engine, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._engine = engine
        self._say = say

    def up(self, replicas: Replicas, folders: dict[str, Path]) -> list[Container]:
        """Build and start the containers; return them when all are ready.

        Raises:
            HeadraceError: see :class:`headrace.containers.readiness.Wait` and :meth:`Engine.compose`.
            UsageError: a number cannot be used, or there were more bridges before.
        """
        self._check_replicas(replicas)
        owner = int(self._settings["PUID"]), int(self._settings["PGID"])
        self._check_secrets(folders["secrets"], owner[0])
        self._folder.prepare(folders, owner)
        if not IS_CHECKOUT:
            self._engine.project_folder = assemble(self._folder.root) / "docker"
        begun = time.monotonic()
        self._say(f"building the images; the first time takes some minutes, {self._folder.build_log} has the output")
        self._engine.compose("build", log=self._folder.build_log)
        self._say(f"the images are built, after {time.monotonic() - begun:.0f} s")
        self._folder.set_replicas(replicas)
        self._folder.mark(up=True)
        return self._start(replicas)

    def scale(self, workers: int | None, bridges: int | None) -> list[Container]:
        """Change the numbers of workers and bridges; return the containers when all are ready.

        Raises:
            NotRunning: the containers are not up.
            UsageError: a number cannot be used, or there were more bridges before.
            HeadraceError: as for :meth:`up`.
        """
        if not self._folder.is_up or not self._engine.containers():
            raise NotRunning(
                f"no containers run: start with these numbers, as in `{typed('up', workers=2, bridges=2)}`"
            )
        replicas = self.wanted(workers, bridges)
        self._check_replicas(replicas)
        self._folder.set_replicas(replicas)
        return self._start(replicas)

    def wanted(self, workers: int | None, bridges: int | None) -> Replicas:
        """Return the numbers that are given, and the recorded ones for those that are not."""
        known = self._folder.replicas()
        return replace(
            known,
            workers=known.workers if workers is None else workers,
            bridges=known.bridges if bridges is None else bridges,
        )

    def down(self) -> None:
        """Stop in the order of the data and remove the containers; all data stays.

        Raises:
            ContainersFailed: compose refused.
        """
        # All profiles: a service may run since an `up` whose profiles nobody names now.
        self._engine.set_variable("COMPOSE_PROFILES", ",".join(PROFILES))
        services = {each.service for each in self._engine.containers() if each.state in ("running", "restarting")}
        for step in (("agent",), ("driver",), ("spark-worker",), ("bridge", "spark-master")):
            if step == ("driver",) and "driver" in services and "bridge" in services:
                self._wait_counted()
            stopping = [service for service in step if service in services]
            if stopping:
                self._say(f"stopping: {', '.join(stopping)}")
                self._engine.compose("stop", *stopping)
        self._engine.compose("down", "--remove-orphans")
        self._folder.mark(up=False)

    def reset(self) -> None:
        """Remove the containers with all of their data, and this machine's folder of them.

        Raises:
            ContainersFailed: compose refused, or a file cannot be deleted.
        """
        self._engine.set_variable("COMPOSE_PROFILES", ",".join(PROFILES))
        self._engine.compose("down", "--volumes", "--remove-orphans")
        self._folder.remove()

    def _start(self, replicas: Replicas) -> list[Container]:
        scale = ["--scale", f"bridge={replicas.bridges}", "--scale", f"spark-worker={replicas.workers}"]
        if replicas.bridges > 1:
            # The agent and the job get the list of bridges as a setting, and compose chooses the names: so the bridges
            # are created first.
            self._engine.compose("up", "-d", "--no-build", "--scale", f"bridge={replicas.bridges}", "bridge")
            names = [each.name for each in self._engine.containers() if each.service == "bridge"]
            self._engine.set_variable("HEADRACE_BRIDGES", ",".join(names))
        self._engine.compose("up", "-d", "--no-build", *scale)
        return Wait(self._engine, self._say).until_ready()

    def _check_replicas(self, replicas: Replicas) -> None:
        for name, number in (("workers", replicas.workers), ("bridges", replicas.bridges)):
            if not 1 <= number <= MAX_REPLICAS:
                raise UsageError(f"{typed_number(name, number)}: must be 1 to {MAX_REPLICAS}")
        before = self._folder.replicas().bridges
        if replicas.bridges < before:
            wanted = typed_number("bridges", replicas.bridges)
            raise UsageError(
                f"{wanted}: {before} exist, and none can go: each keeps a log that the job reads; to start over with "
                f"fewer, `{typed('down')}` when all is counted, then `{typed('reset')}`"
            )

    def _check_secrets(self, folder: Path, uid: int) -> None:
        """Refuse another account than before, and new secrets for the data of an earlier folder."""
        if folder.is_dir() and folder.stat().st_uid != uid:
            raise StateUnusable(
                f"{folder} and the volumes belong to account {folder.stat().st_uid}, and this would run as {uid}: call "
                f"it as that account, or set PUID={folder.stat().st_uid} and its PGID"
            )
        if not folder.is_dir() and self._engine.volumes():
            raise StateUnusable(
                f"project {self._engine.project} has volumes, but {folder} is gone: was it moved? Put it "
                f"back, take another COMPOSE_PROJECT_NAME, or delete the old data with `{typed('reset')}`"
            )

    def _wait_counted(self) -> None:
        """Wait until the job has counted all stored lines. This only spares the next start that work."""
        drivers = self._engine.running("driver")
        deadline = time.monotonic() + COUNT_WITHIN_S
        announced = False
        while drivers and time.monotonic() < deadline:
            waiting = self._waiting(drivers[0])
            if not waiting:
                return
            if not announced:
                self._say(f"stopping: the job counts {waiting:,} stored lines")
                announced = True
            time.sleep(LOOK_S)

    def _waiting(self, driver: Container) -> int | None:
        """Return how many stored lines are not counted; None when the driver does not answer."""
        _, printed = self._engine.run_in(driver, "python", "-m", "headrace.services", "status", "--json")
        try:
            sums = json.loads(printed)["sums"]
            number = next(number for each in sums for name, number, _ in each["right"] if name == "waiting")
            return None if number is None else int(number)
        except (ValueError, KeyError, TypeError, StopIteration):
            return None


def failed_services(containers: list[Container]) -> list[str]:
    """Return the problems of the containers, one sentence each."""
    found = []
    for each in containers:
        if each.state != "running":
            found.append(f"{each.name} is {each.state} (exit code {each.exit_code})")
        elif each.health == "unhealthy":
            found.append(f"{each.name} is unhealthy")
    return found
