"""Fetches the jars that a pom.xml lists into the user's cache folder, and compares them with recorded checksums.

::

    pom.xml ──► Ivy ──► jars ──► checksums.txt agrees? ──► <cache>/<name>/<key>/*.jar, renamed into place when complete

``key`` is a hash of the recorded checksums, so a changed comment in pom.xml fetches nothing. A folder under that name
was complete when it was renamed; a later call only checks that each file still has the size noted in the folder's
``complete.json``. The cache is thus as trusted as the virtual environment. ``verify=True`` hashes every jar again.

The cache folder, first match:

=============================  ========================================================================================
``$HEADRACE_CACHE``            the images set it
``$XDG_CACHE_HOME/headrace``   if that is an absolute path, as the XDG specification asks
``~/Library/Caches/headrace``  on macOS
``~/.cache/headrace``          elsewhere
=============================  ========================================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flume.errors import JarsDiffer, JarsMissing
from flume.jars import ivy
from flume.jars.java import find_java
from headrace.common.files import waiting_for_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_STAMP = "complete.json"
_KEY_CHARACTERS = 16


def cache_root() -> Path:
    """Return the folder of everything that can be fetched again; the module's table says which one that is."""
    chosen = os.environ.get("HEADRACE_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():
        return xdg / "headrace"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "headrace"


@dataclass(frozen=True)
class JarSet:
    """The jars that one pom.xml lists and one checksums.txt records.

    Attributes:
        name: of its folder in the cache.
        pom: lists every jar with group, artifact and version; nothing is resolved.
        checksums: as ``sha256sum`` writes them.
        module: the module whose command ``record`` writes the checksums; messages name it.
    """

    name: str
    pom: Path
    checksums: Path
    module: str

    def recorded(self) -> dict[str, str]:
        """Return the recorded checksums; see :func:`read_checksums`."""
        return read_checksums(self.checksums)

    def folder(self) -> Path:
        """Return where the recorded jars are, or will be.

        Raises:
            JarsDiffer: the record cannot be read.
        """
        return cache_root() / self.name / key_of(self.recorded())

    def ensure(self, progress: ivy.Progress | None = None, *, verify: bool = False) -> list[Path]:
        """Return the jars, fetching those that are missing. A complete folder needs neither network nor Java.

        Args:
            progress: called with (jars done, jars in all, name of the jar at hand) while fetching.
            verify: hash every jar, instead of checking presence and size.

        Raises:
            JarsMissing: a jar could not be fetched.
            JarsDiffer: a jar is not the recorded one.
            JavaMissing: something had to be fetched and no Java was found.
        """
        recorded = self.recorded()
        jars = filled(self.folder(), lambda work: self._fetch(work, recorded, progress))
        if verify:
            self._check(jars, recorded)
        return jars

    def record(self, progress: ivy.Progress | None = None) -> int:
        """Fetch the jars of pom.xml and write their checksums; return the number of jars.

        Run it after a change of pom.xml. It trusts what the repository serves today: look at the change of
        checksums.txt before committing it.
        """
        work = cache_root() / self.name / "record"
        work.parent.mkdir(parents=True, exist_ok=True)
        with waiting_for_lock(work.parent / ".lock"):
            shutil.rmtree(work, ignore_errors=True)
            try:
                jars = ivy.fetch(ivy.read_pom(self.pom), work, find_java(), progress)
                lines = [f"{_sha256(jar)}  {jar.name}\n" for jar in sorted(jars)]
            finally:
                shutil.rmtree(work, ignore_errors=True)
        heading = f"# SHA-256 of every jar of pom.xml, for `sha256sum --check`; by `python -m {self.module} record`.\n"
        self.checksums.write_text(heading + "".join(lines), encoding="ascii")
        return len(lines)

    def _fetch(self, work: Path, recorded: Mapping[str, str], progress: ivy.Progress | None) -> list[Path]:
        wanted = ivy.read_pom(self.pom)
        differing = {c.file_name for c in wanted} ^ recorded.keys()
        if differing:
            raise JarsDiffer(
                f"{self.pom} and {self.checksums.name} disagree on {', '.join(sorted(differing))}; after a change of "
                f"the versions run `python -m {self.module} record`"
            )
        jars = ivy.fetch(wanted, work, find_java(), progress)
        self._check(jars, recorded)
        return jars

    def _check(self, jars: Iterable[Path], recorded: Mapping[str, str]) -> None:
        check_jars(jars, recorded, self.checksums)


def key_of(parts: Mapping[str, str]) -> str:
    """Return the name of a cache folder whose content these names and texts determine."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        # With a separator, or "a" + "bc" and "ab" + "c" would give the same key.
        digest.update(name.encode() + b"\0" + parts[name].encode() + b"\0")
    return digest.hexdigest()[:_KEY_CHARACTERS]


def filled(folder: Path, fill: Callable[[Path], list[Path]]) -> list[Path]:
    """Return the jars of a cache folder, filling it first if it is not complete.

    Several processes may call this at once: one fills the folder, the others wait for it.

    Args:
        folder: its name must change whenever its content should.
        fill: puts jars into the folder that it is given and returns their paths.

    Raises:
        JarsMissing: another program changed the folder meanwhile.
    """
    jars = _complete(folder)
    if jars is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with waiting_for_lock(folder.parent / ".lock"):
            # Asked again: whoever held the lock has probably filled the folder.
            jars = _complete(folder)
            if jars is None:
                _replace(folder, fill)
                jars = _complete(folder)
    if jars is None:
        raise JarsMissing(f"{folder}: another program changed it while it was filled; delete it and try again")
    return jars


def read_checksums(path: Path) -> dict[str, str]:
    """Read a file as ``sha256sum`` writes it into {jar's file name: SHA-256 in hexadecimal}.

    Raises:
        JarsDiffer: the file cannot be read, or a line has another form.
    """
    recorded: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise JarsDiffer(f"{path}: the record of checksums cannot be read ({error.strerror})") from error
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        checksum, _, name = line.partition("  ")
        if len(checksum) != hashlib.sha256().digest_size * 2 or not name.endswith(".jar"):
            raise JarsDiffer(f"{path}, line {number}: neither a comment nor 'SHA-256, two blanks, name of a jar'")
        recorded[name] = checksum
    return recorded


def check_jars(jars: Iterable[Path], recorded: Mapping[str, str], checksums: Path) -> None:
    """Compare jars with the record in both directions; ``checksums`` is the record's file, for messages.

    Raises:
        JarsDiffer: a checksum differs, a jar is not recorded, or a recorded jar is not among ``jars``.
    """
    present: set[str] = set()
    for jar in jars:
        present.add(jar.name)
        expected = recorded.get(jar.name)
        if expected is None:
            raise JarsDiffer(f"{jar} is not in {checksums.name}; only recorded jars are used. Delete it and try again.")
        actual = _sha256(jar)
        if actual != expected:
            raise JarsDiffer(
                f"{jar}: its SHA-256 is {actual}, but {checksums.name} records {expected}: these are not the bytes "
                f"that were published. Delete {jar.parent} and try again; if the error stays, do not use the jar."
            )
    absent = sorted(recorded.keys() - present)
    if absent:
        raise JarsDiffer(f"recorded in {checksums.name} but missing: {', '.join(absent)}")


def _replace(folder: Path, fill: Callable[[Path], list[Path]]) -> None:
    work = folder.with_suffix(".part")
    # What a killed process left; the lock is held, so nobody works in it.
    shutil.rmtree(work, ignore_errors=True)
    try:
        stamp = {jar.name: jar.stat().st_size for jar in fill(work)}
        (work / _STAMP).write_text(json.dumps(stamp, indent=1, sort_keys=True), encoding="ascii")
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    # A folder without a valid stamp has lost files or was changed by hand.
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def _complete(folder: Path) -> list[Path] | None:
    """Return the jars of a folder if each has its noted size, else None."""
    try:
        stamp: dict[str, int] = json.loads((folder / _STAMP).read_text(encoding="ascii"))
        jars = [folder / name for name in sorted(stamp)]
        whole = all(jar.stat().st_size == stamp[jar.name] for jar in jars)
    except (OSError, ValueError):
        return None
    return jars if whole else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
