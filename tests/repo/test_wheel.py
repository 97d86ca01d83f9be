"""The wheel and the source distribution have every file. Installations are tested in tests/e2e/test_wheel.py."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from headrace.containers.places import PACKAGES
from tests.support.distributions import build
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def tracked(*folders: str) -> set[str]:
    """Return the files in these folders that belong to the project."""
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    return build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_every_file_of_the_packages_and_of_the_containers(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert tracked(*PACKAGES) - names == set()
    data = "headrace/containers/data"
    shipped = {f"{data}/{name}" for name in tracked("docker") if not name.endswith("generate.py")}
    assert {name for name in names if name.startswith(data)} == {*shipped, f"{data}/requirements.lock"}
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)


def test_the_source_distribution_has_what_builds_and_checks_it(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert tracked(*PACKAGES, "docker", "tests", "requirements.lock", "Makefile") - names == set()
    assert "docker/.env" not in names
