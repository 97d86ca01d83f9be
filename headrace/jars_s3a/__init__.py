"""The jars that Spark needs to read from S3: fetched once, verified always, kept beside those of Flume.

``pom.xml`` lists them and ``checksums.txt`` has their SHA-256; how they are fetched is told in :mod:`flume.jars.cache`.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flume.errors import JarsDiffer
from flume.jars import ivy
from flume.jars.cache import cache_root, check_jars, filled, read_checksums
from flume.jars.java import find_java

if TYPE_CHECKING:
    from flume.jars.ivy import Progress

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CHECKSUMS = HERE / "checksums.txt"


def cache_folder() -> Path:
    """Return where the jars of this pom.xml and these checksums are or would be."""
    digest = hashlib.sha256()
    for path in (POM, CHECKSUMS):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return cache_root() / "s3a" / digest.hexdigest()[:16]


def ensure_jars(progress: Progress | None = None, *, verify: bool = False) -> list[Path]:
    """Return the jars, fetching what is not there yet. Needs no network once they are.

    Args:
        progress: called with (jars done, jars in all, name of the jar at hand) while fetching.
        verify: hash every jar again, instead of checking presence and size.

    Raises:
        JarsMissing: a jar could not be fetched.
        JarsDiffer: a jar is not the recorded one.
        JavaMissing: something had to be fetched and there is no Java.
    """
    recorded = read_checksums(CHECKSUMS)

    def fill(work: Path) -> list[Path]:
        wanted = ivy.read_pom(POM)
        differing = {each.file_name for each in wanted} ^ recorded.keys()
        if differing:
            raise JarsDiffer(f"{POM} and {CHECKSUMS.name} disagree on {', '.join(sorted(differing))}")
        jars = ivy.fetch(wanted, work, find_java(), progress)
        check_jars(jars, recorded)
        return jars

    jars = filled(cache_folder(), fill)
    if verify:
        check_jars(jars, recorded)
    return jars


def record() -> int:
    """Fetch the jars of pom.xml and write their checksums, after a change of it; return their number.

    This trusts what the repository gives today; compare the change of checksums.txt before committing it.
    """
    work = cache_root() / "s3a" / "record"
    shutil.rmtree(work, ignore_errors=True)
    try:
        jars = ivy.fetch(ivy.read_pom(POM), work, find_java())
        lines = [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(jars)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    heading = (
        "# SHA-256 of every jar of pom.xml, for `sha256sum --check`; written by `python -m headrace.jars_s3a record`.\n"
    )
    CHECKSUMS.write_text(heading + "".join(lines), encoding="ascii")
    return len(lines)
