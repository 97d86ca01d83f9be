"""What the containers have on this machine: who owns it, and that it is made once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from headrace.containers.folder import SECRETS, UNPRIVILEGED, ContainersFolder, Replicas, account
from headrace.errors import StateLocked, StateUnusable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("ids", "environment", "expected"),
    [
        ((1000, 100), {}, (1000, 100)),
        ((1000, 100), {"SUDO_UID": "7"}, (1000, 100)),
        ((0, 0), {"SUDO_UID": "1000", "SUDO_GID": "100"}, (1000, 100)),
        ((0, 0), {"SUDO_UID": "1000"}, (1000, 1000)),
        ((0, 0), {"SUDO_UID": "0", "SUDO_GID": "0"}, (UNPRIVILEGED, UNPRIVILEGED)),
        ((0, 0), {}, (UNPRIVILEGED, UNPRIVILEGED)),
    ],
)
def test_the_account_is_the_callers_and_never_root(
    ids: tuple[int, int], environment: dict[str, str], expected: tuple[int, int]
) -> None:
    assert account(*ids, environment) == expected


def places(folder: ContainersFolder) -> dict[str, Path]:
    return {name: folder.root / name for name in ("spool", "out", "secrets")}


def test_folders_and_secrets_are_made_once_for_that_account_alone(tmp_path: Path) -> None:
    folder = ContainersFolder(tmp_path / "containers")
    owner = account(os.getuid(), os.getgid(), {})
    folder.prepare(places(folder), owner)
    first = {name: (folder.root / "secrets" / name).read_text() for name in SECRETS}
    folder.prepare(places(folder), owner)
    assert {name: (folder.root / "secrets" / name).read_text() for name in SECRETS} == first
    assert len(set(first.values())) == len(SECRETS)
    for path in (*(folder.root / "secrets").iterdir(), *places(folder).values()):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == owner
        assert status.st_mode & 0o022 == 0
    assert (folder.root / "secrets").stat().st_mode & 0o777 == 0o700
    assert (folder.root / "secrets" / SECRETS[0]).stat().st_mode & 0o777 == 0o600


def test_the_numbers_are_kept(tmp_path: Path) -> None:
    folder = ContainersFolder(tmp_path)
    assert folder.replicas() == Replicas(1, 1)
    folder.set_replicas(Replicas(workers=3, bridges=2))
    assert ContainersFolder(tmp_path).replicas() == Replicas(3, 2)
    (tmp_path / "replicas.json").write_text("{}{")
    with pytest.raises(StateUnusable, match=r"replicas\.json cannot be read"):
        folder.replicas()


def test_only_one_command_changes_the_containers(tmp_path: Path) -> None:
    with (
        ContainersFolder(tmp_path).lock(),
        pytest.raises(StateLocked, match="another command"),
        ContainersFolder(tmp_path).lock(),
    ):
        pass
    with ContainersFolder(tmp_path).lock():
        pass


def test_the_mark_is_there_from_up_to_down(tmp_path: Path) -> None:
    folder = ContainersFolder(tmp_path)
    assert not folder.is_up
    folder.mark(up=True)
    assert ContainersFolder(tmp_path).is_up
    folder.mark(up=False)
    folder.mark(up=False)
    assert not folder.is_up
