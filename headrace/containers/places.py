"""Finds the files of the containers, in a checkout or in an installed package.

============================  ===================================  ==================================================
file                          in a checkout                        installed from a wheel
============================  ===================================  ==================================================
compose file, Dockerfiles     ``docker/``                          ``headrace/containers/data/docker``, read only
settings that a user chose    ``docker/.env``                      ``<containers>.env``, which `reset` leaves alone
folder of this machine        ``containers/`` in the checkout      ``containers/`` in the current folder
what the images are made of   the checkout                         ``<containers>/build``, assembled by `headrace up`
============================  ===================================  ==================================================

``setup.py`` copies ``docker/`` and ``requirements.lock`` into the wheel. An installed package is never written to, so
:func:`assemble` makes a build context elsewhere. The context has the layout of a checkout: the Dockerfiles know one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

PACKAGES = ("flume", "avro_bridge", "spark_job", "headrace")
"""The packages that the images hold."""

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: a checkout, or ``site-packages``."""
DATA = Path(__file__).resolve().parent / "data"
IS_CHECKOUT = not DATA.is_dir()

DOCKER = ROOT / "docker" if IS_CHECKOUT else DATA / "docker"
COMPOSE_FILE = DOCKER / "compose.yaml"
EXAMPLE = DOCKER / ".env.example"
DEFAULT_FOLDER = ROOT / "containers" if IS_CHECKOUT else Path("containers")


def chosen_settings(folder: Path) -> Path:
    """Return the file of settings that a user may have written, for the containers of ``folder``."""
    folder = folder.absolute()
    return DOCKER / ".env" if IS_CHECKOUT else folder.with_name(f"{folder.name}.env")


def project_folder(folder: Path) -> Path:
    """Return the folder that the paths in the compose file start from."""
    assembled = folder.absolute() / "build" / "docker"
    return DOCKER if IS_CHECKOUT or not assembled.is_dir() else assembled


def assemble(folder: Path, root: Path = ROOT, data: Path = DATA) -> Path:
    """Make the build context of an installed package, ``<folder>/build``; return it.

    The caller holds the lock of ``folder``.

    Args:
        folder: the containers' folder of this machine.
        root: the folder that holds the packages.
        data: what the wheel carries beside them: ``docker/`` and ``requirements.lock``.

    Raises:
        OSError: a file cannot be copied.
    """
    context, part = folder.absolute() / "build", folder.absolute() / ".build"
    shutil.rmtree(part, ignore_errors=True)
    # Machine code and bytecode of this machine are of no use in the images.
    ignored = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    for package in PACKAGES:
        shutil.copytree(root / package, part / package, ignore=ignored)
    # In a checkout the data lies beside the packages, and so it does here.
    shutil.rmtree(part / "headrace" / "containers" / "data", ignore_errors=True)
    shutil.copytree(data, part, dirs_exist_ok=True)
    # The old context goes only when the new one is whole.
    shutil.rmtree(context, ignore_errors=True)
    return part.rename(context)
