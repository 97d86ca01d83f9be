"""Where the files of the containers lie, and the build context of an installed package."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headrace.containers import places
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def installed(root: Path) -> Path:
    """Make a small ``site-packages`` as the wheel leaves it; return the folder of the wheel's data."""
    for package in places.PACKAGES:
        (root / package / "__pycache__").mkdir(parents=True)
        (root / package / "__init__.py").write_text(f'"""{package}"""\n')
        (root / package / "__pycache__" / "x.nbi").write_text("machine code")
    data = root / "headrace" / "containers" / "data"
    (data / "docker").mkdir(parents=True)
    (data / "docker" / "Dockerfile").write_text("FROM scratch\n")
    (data / "requirements.lock").write_text("lmdb==1\n")
    return data


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_here_the_files_are_those_of_the_checkout() -> None:
    assert places.IS_CHECKOUT
    assert places.COMPOSE_FILE == ROOT / "docker" / "compose.yaml"
    assert places.project_folder(ROOT / "containers") == ROOT / "docker"
    assert places.chosen_settings(ROOT / "containers") == ROOT / "docker" / ".env"


def test_a_context_has_the_layout_of_a_checkout_without_what_this_machine_compiled(tmp_path: Path) -> None:
    data = installed(tmp_path / "site-packages")
    context = places.assemble(tmp_path / "containers", tmp_path / "site-packages", data)
    assert context == tmp_path / "containers" / "build"
    assert files_in(context) == {
        "docker/Dockerfile",
        "requirements.lock",
        *(f"{package}/__init__.py" for package in places.PACKAGES),
    }


def test_a_second_context_replaces_the_first_whole(tmp_path: Path) -> None:
    data = installed(tmp_path / "site-packages")
    places.assemble(tmp_path / "containers", tmp_path / "site-packages", data)
    (tmp_path / "containers" / "build" / "flume" / "old.py").write_text("")
    (tmp_path / "containers" / ".build").mkdir()
    (data / "requirements.lock").write_text("lmdb==2\n")
    context = places.assemble(tmp_path / "containers", tmp_path / "site-packages", data)
    assert "flume/old.py" not in files_in(context)
    assert (context / "requirements.lock").read_text() == "lmdb==2\n"
    assert [path.name for path in (tmp_path / "containers").iterdir()] == ["build"]


def test_the_context_has_every_source_that_the_image_copies() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if re.match(r"COPY (?!--)", line)]
    roots = {source.partition("/")[0] for sources in copied for source in sources}
    assert roots <= {*places.PACKAGES, "docker", "requirements.lock"}
    assert set(places.PACKAGES) <= roots
