"""What is refused before anything is started, with an engine that is only asked for its volumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from headrace.containers.docker import Container, Engine
from headrace.containers.folder import ContainersFolder, Replicas
from headrace.containers.lifecycle import Lifecycle, failed_services
from headrace.containers.settings import Settings
from headrace.errors import NotRunning, StateUnusable, UsageError

NOWHERE = Path("/nowhere/at/all")


class VolumesOnly:
    """An engine without containers."""

    project = "p"

    def __init__(self, *volumes: str) -> None:
        self._volumes = list(volumes)

    def volumes(self) -> list[str]:
        return self._volumes

    def containers(self) -> list[Container]:
        return []


def lifecycle(folder: Path, *volumes: str, uid: int | None = None) -> Lifecycle:
    owner = (os.getuid() if uid is None else uid, os.getgid())
    containers = ContainersFolder(folder)
    settings = Settings({}, NOWHERE, containers.computed(owner))
    return Lifecycle(containers, settings, cast("Engine", VolumesOnly(*volumes)), lambda _: None)


def folders(root: Path) -> dict[str, Path]:
    return {name: root / name for name in ("spool", "out", "secrets")}


@pytest.mark.parametrize("replicas", [Replicas(workers=0), Replicas(bridges=65)])
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, replicas: Replicas) -> None:
    with pytest.raises(UsageError, match="must be 1 to 64"):
        lifecycle(tmp_path).up(replicas, folders(tmp_path))


def test_bridges_do_not_become_fewer(tmp_path: Path) -> None:
    ContainersFolder(tmp_path).set_replicas(Replicas(workers=3, bridges=2))
    with pytest.raises(UsageError, match="2 exist, and none can go"):
        lifecycle(tmp_path).up(Replicas(workers=1, bridges=1), folders(tmp_path))
    assert lifecycle(tmp_path).wanted(None, None) == Replicas(3, 2)
    assert lifecycle(tmp_path).wanted(1, None) == Replicas(1, 2)


def test_old_data_is_not_given_new_secrets(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="was it moved"):
        lifecycle(tmp_path, "p_log").up(Replicas(), folders(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_another_account_is_told_whose_data_it_is(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    with pytest.raises(StateUnusable, match=f"belong to account {os.getuid()}, and this would run as 4711"):
        lifecycle(tmp_path, uid=4711).up(Replicas(), folders(tmp_path))


def test_nothing_is_scaled_where_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="headrace up --workers 2 --bridges 2"):
        lifecycle(tmp_path).scale(2, None)


def test_what_is_wrong_with_containers_is_said() -> None:
    sound = Container("a", "p_a_1", "a", 1, "running", "healthy", 0, 0, "", ())
    ended = Container("b", "p_b_1", "b", 1, "exited", "", 0, 137, "", ())
    ill = Container("c", "p_c_1", "c", 1, "running", "unhealthy", 0, 0, "", ())
    assert failed_services([sound, ended, ill]) == ["p_b_1 is exited (exit code 137)", "p_c_1 is unhealthy"]
