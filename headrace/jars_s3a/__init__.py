"""The jars that Spark needs to read from S3, in the same cache as those of Flume.

``pom.xml`` lists them and ``checksums.txt`` has their SHA-256; :mod:`flume.jars.jar_set` fetches and checks them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flume.jars.jar_set import JarSet

if TYPE_CHECKING:
    from flume.jars.ivy import Progress

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CHECKSUMS = HERE / "checksums.txt"
JARS = JarSet("s3a", POM, CHECKSUMS, "headrace.jars_s3a")


def cache_folder() -> Path:
    """Return where the jars are, or will be."""
    return JARS.folder()


def ensure_jars(progress: Progress | None = None, *, verify: bool = False) -> list[Path]:
    """Return the jars, fetching those that are missing; see :meth:`flume.jars.jar_set.JarSet.ensure`."""
    return JARS.ensure(progress, verify=verify)
