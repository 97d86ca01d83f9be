"""The containers' folder on this machine: everything that is not in one of the engine's volumes.

::

    containers/
      spool/           files handed over; the agent reads and deletes them                   mounted as /spool
      out/             what file sinks write                                                 mounted as /out
      secrets/         bridge-token, spark-secret, database-password: made once, readable
                       for one account                                                       mounted as secrets
      replicas.json    the numbers of workers and bridges; kept from one `up` to the next
      up               exists from `up` to `down`; meanwhile `make drop` and `make status` mean the containers
      lock             held while a command changes something
      build.log        the output of the last build
      build/           the build context, where Headrace is installed from a wheel

All of it belongs to the account that the containers run as.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from headrace.common.files import replace_file, try_lock
from headrace.errors import ContainersFailed, StateLocked, StateUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECRETS = ("bridge-token", "spark-secret", "database-password")
PART_BYTES = 32
UNPRIVILEGED = 10001
"""The account for a caller who is root without sudo: an id that no system account has."""


@dataclass(frozen=True)
class Replicas:
    """The numbers of what can be scaled."""

    workers: int = 1
    bridges: int = 1


def account(uid: int, gid: int, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the account that the containers run as, for a caller with these ids: never root."""
    if uid != 0:
        return uid, gid
    sudo_uid = int(environment.get("SUDO_UID") or 0)
    return (sudo_uid, int(environment.get("SUDO_GID") or sudo_uid)) if sudo_uid else (UNPRIVILEGED, UNPRIVILEGED)


class ContainersFolder:
    """The files in one folder. The constructor touches nothing on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.build_log = self.root / "build.log"
        self._up = self.root / "up"
        self._replicas = self.root / "replicas.json"

    def computed(self, owner: tuple[int, int]) -> dict[str, str]:
        """Return the values of settings that follow from this folder and the account."""
        return {
            "PUID": str(owner[0]),
            "PGID": str(owner[1]),
            "HEADRACE_SPOOL": str(self.root / "spool"),
            "HEADRACE_OUT": str(self.root / "out"),
            "HEADRACE_SECRETS": str(self.root / "secrets"),
        }

    def prepare(self, folders: Mapping[str, Path], owner: tuple[int, int]) -> None:
        """Create the folders and secrets that are missing, for the account ``owner``.

        Args:
            folders: the folders ``spool``, ``out`` and ``secrets``.
            owner: user id and group id.

        Raises:
            StateUnusable: one cannot be created.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for name, folder in folders.items():
                if not folder.is_dir():
                    folder.mkdir(parents=True, mode=0o755 if name == "out" else 0o700)
                    self._give(folder, owner)
            for name in SECRETS:
                path = folders["secrets"] / name
                if not path.exists():
                    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    with os.fdopen(descriptor, "w") as file:
                        file.write(secrets.token_urlsafe(PART_BYTES) + "\n")
                    self._give(path, owner)
        except OSError as error:
            raise StateUnusable(
                f"{error.filename}: cannot be created: {error.strerror}; choose another folder"
            ) from error

    @property
    def is_up(self) -> bool:
        """Whether the last `up` was not followed by a `down`."""
        return self._up.exists()

    def mark(self, *, up: bool) -> None:
        """Record that the containers are up, or that they are down."""
        if up:
            self._up.touch()
        else:
            self._up.unlink(missing_ok=True)

    def replicas(self) -> Replicas:
        """Return the recorded numbers; one of each when there is no record.

        Raises:
            StateUnusable: the record cannot be read.
        """
        try:
            return Replicas(**json.loads(self._replicas.read_bytes()))
        except FileNotFoundError:
            return Replicas()
        except (ValueError, TypeError) as error:
            raise StateUnusable(f"{self._replicas} cannot be read ({error}): delete it and scale again") from error

    def set_replicas(self, replicas: Replicas) -> None:
        """Record the numbers."""
        replace_file(self._replicas, json.dumps(asdict(replicas)).encode())

    def remove(self) -> None:
        """Delete the folder.

        Raises:
            ContainersFailed: something in it cannot be deleted.
        """
        try:
            shutil.rmtree(self.root)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ContainersFailed(f"{error.filename}: cannot be deleted: {error.strerror}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the folder, so that two commands do not change the same containers at once.

        Raises:
            StateLocked: another command holds it.
            StateUnusable: the folder cannot be created.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            file = (self.root / "lock").open("a")
        except OSError as error:
            raise StateUnusable(f"{self.root}: cannot be written: {error.strerror}; choose another folder") from error
        with file:
            if not try_lock(file):
                raise StateLocked(f"{self.root}: another command is changing these containers; wait for it")
            yield

    @staticmethod
    def _give(path: Path, owner: tuple[int, int]) -> None:
        if os.geteuid() == 0:
            os.chown(path, *owner)
