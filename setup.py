"""Adds to the wheel what pyproject.toml cannot name: the files of the containers, which lie outside of the packages."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
NOT_SHIPPED = (".env", "generate.py", "__pycache__")
"""In ``docker/``: settings of this machine, and what only a checkout needs."""


class BuildWithContainers(build_py):
    """Copies ``docker/`` and ``requirements.lock`` into ``headrace/containers/data``."""

    def run(self) -> None:
        """Build the packages, then add the data. An editable install has the checkout and needs no copy."""
        super().run()
        if self.editable_mode:
            return
        data = Path(self.build_lib) / "headrace" / "containers" / "data"
        # build/ may hold files of an earlier build that are gone from the checkout.
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(ROOT / "docker", data / "docker", ignore=shutil.ignore_patterns(*NOT_SHIPPED))
        shutil.copyfile(ROOT / "requirements.lock", data / "requirements.lock")


setup(cmdclass={"build_py": BuildWithContainers})
