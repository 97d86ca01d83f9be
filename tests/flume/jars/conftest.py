"""The small set of jars that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.jar_project import JarProject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JarProject:
    """A mirror, a POM, a record and a source in a temporary folder."""
    return JarProject(tmp_path, monkeypatch)
