"""The agent's class path: fetched once, verified always, no Maven needed.

::

    pom.xml ──► Ivy ──► jars ──► checksums.txt agrees? ──► cache/flume/<key>/*.jar
    java/*.java ──► Janino ──► headrace-flume.jar ────────► the same folder, renamed into place when complete

Every jar is listed in pom.xml itself, so nothing has to be resolved and no POM is fetched: Ivy, whose jar is in the
pyspark wheel, gets the 39 jars (20 MB) in 10 s. Resolving the usual way was measured at 67 s, and Ivy's reading of the
exclusions gave 92 jars where Maven gives 40. Maven itself takes 8 s but would be one more thing to install, and jgo one
more dependency that resolves again. The sink and the monitor (java/headrace) are compiled in 1 s by Janino, from the
same wheel, so a JRE is enough.

Jars come from Ivy's built-in public repository, or from the mirror of it that the user's Maven settings name. Where
they come from need not be trusted: a jar without its SHA-256 in checksums.txt never reaches the class path.

``key`` is a hash of pom.xml, checksums.txt and the Java sources. A folder under that name was complete when it was
renamed, so a later call only checks that each file is there with the size noted in its stamp: the cache is as trusted
as the virtual environment beside it. `verify=True` hashes everything again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flume.errors import FlumeError, JarsDiffer, JarsMissing
from flume.jars import ivy
from flume.jars.java import find_java

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CHECKSUMS = HERE / "checksums.txt"
SOURCES = HERE / "java"
OWN_JAR = "headrace-flume.jar"
_STAMP = "complete.json"
_COMPILE_TIMEOUT_S = 120.0


def cache_root() -> Path:
    """Return the folder of what can be fetched again: ``$HEADRACE_CACHE``, else ``.cache`` in the project."""
    chosen = os.environ.get("HEADRACE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else HERE.parents[1] / ".cache"


def cache_folder() -> Path:
    """Return where the jars of this pom.xml, these checksums and these sources are or would be."""
    digest = hashlib.sha256()
    for path in (POM, CHECKSUMS, *sorted(SOURCES.rglob("*.java"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return cache_root() / "flume" / digest.hexdigest()[:16]


def ensure_jars(progress: ivy.Progress | None = None, *, verify: bool = False) -> list[Path]:
    """Return the class path's jars, fetching and compiling what is not there yet.

    Needs no network once the cache is complete. Safe to call from several processes: one works, the others wait for it.

    Args:
        progress: called with (jars done, jars in all, name of the jar at hand) while fetching.
        verify: hash every jar of a complete cache too, instead of checking presence and size.

    Raises:
        JarsMissing: a jar could not be fetched, or the sources not be compiled.
        JarsDiffer: a jar is not the recorded one.
        JavaMissing: something had to be fetched and there is no Java.
    """
    recorded = read_checksums(CHECKSUMS)
    jars = filled(cache_folder(), lambda work: _fill(work, recorded, progress))
    if verify:
        check_jars([jar for jar in jars if jar.name != OWN_JAR], recorded)
    return jars


def filled(folder: Path, fill: Callable[[Path], list[Path]]) -> list[Path]:
    """Return the jars of a folder of the cache, which is filled once, by one process, and then complete for good.

    Args:
        folder: its name says what belongs into it.
        fill: puts jars into the folder that it is given and returns them; called where they are not there yet.

    Raises:
        JarsMissing: something else changes the folder.
    """
    jars = _complete(folder)
    if jars is None:
        with _locked(folder.parent):
            jars = _complete(folder)
            if jars is None:
                _replace(folder, fill)
                jars = _complete(folder)
    if jars is None:
        raise JarsMissing(f"{folder} was changed by something else while it was filled; delete it and try again")
    return jars


def read_checksums(path: Path) -> dict[str, str]:
    """Read a file as ``sha256sum`` writes it into {jar's file name: SHA-256 in hexadecimal}.

    Raises:
        JarsDiffer: the file is not there, or a line is not of that form.
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


def check_jars(jars: Iterable[Path], recorded: dict[str, str]) -> None:
    """Compare jars with the record, in both directions.

    Raises:
        JarsDiffer: a checksum differs, a jar is not recorded, or a recorded jar is not among ``jars``.
    """
    present: set[str] = set()
    for jar in jars:
        present.add(jar.name)
        expected = recorded.get(jar.name)
        if expected is None:
            raise JarsDiffer(
                f"{jar.name} is not in {CHECKSUMS.name}: it is not one of the recorded jars and is not used"
            )
        actual = _sha256(jar)
        if actual != expected:
            raise JarsDiffer(
                f"{jar}: its SHA-256 is {actual}, recorded is {expected}; what was fetched or kept is not what was "
                f"published when it was recorded. Delete {jar.parent} and try again; if it stays so, do not use it."
            )
    absent = sorted(recorded.keys() - present)
    if absent:
        raise JarsDiffer(f"recorded in {CHECKSUMS.name} but not there: {', '.join(absent)}")


def record(progress: ivy.Progress | None = None) -> int:
    """Fetch the jars of pom.xml and write their checksums, after a change of it; returns their number.

    This trusts what the repository gives today; compare the change of checksums.txt before committing it.
    """
    work = cache_root() / "flume" / "record"
    with _locked(work.parent):
        shutil.rmtree(work, ignore_errors=True)
        try:
            jars = ivy.fetch(ivy.read_pom(POM), work, find_java(), progress)
            lines = [f"{_sha256(jar)}  {jar.name}\n" for jar in sorted(jars)]
        finally:
            shutil.rmtree(work, ignore_errors=True)
    heading = "# SHA-256 of every jar of pom.xml, for `sha256sum --check`; by `python -m flume.jars.cache record`.\n"
    CHECKSUMS.write_text(heading + "".join(lines), encoding="ascii")
    return len(lines)


def _fill(work: Path, recorded: dict[str, str], progress: ivy.Progress | None) -> list[Path]:
    wanted = ivy.read_pom(POM)
    differing = {c.file_name for c in wanted} ^ recorded.keys()
    if differing:
        raise JarsDiffer(
            f"{POM.name} and {CHECKSUMS.name} disagree on {', '.join(sorted(differing))}; after a change of "
            "the versions run `python -m flume.jars.cache record`"
        )
    java = find_java()
    jars = ivy.fetch(wanted, work, java, progress)
    check_jars(jars, recorded)
    own = work / OWN_JAR
    compile_sources(SOURCES, jars, own, java)
    return [*jars, own]


def _replace(folder: Path, fill: Callable[[Path], list[Path]]) -> None:
    work = folder.with_suffix(".part")
    try:
        stamp = {jar.name: jar.stat().st_size for jar in fill(work)}
        (work / _STAMP).write_text(json.dumps(stamp, indent=1, sort_keys=True), encoding="ascii")
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    # A folder without a valid stamp is a leftover that was tampered with or lost files.
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def compile_sources(sources: Path, class_path: Iterable[Path], target: Path, java: Path) -> None:
    """Compile every .java file below ``sources`` with Janino into the jar ``target``.

    Raises:
        JarsMissing: the compiler refused; the text ends with what it said.
    """
    classes = target.with_suffix(".classes")
    classes.mkdir()
    compiler = os.pathsep.join(str(ivy.wheel_jar(name)) for name in ("commons-compiler-", "janino-"))
    command = [str(java), "-cp", compiler, "org.codehaus.commons.compiler.samples.CompilerDemo"]
    command += ["-d", str(classes), "-encoding", "UTF-8", "-classpath", os.pathsep.join(map(str, class_path))]
    command += map(str, sorted(sources.rglob("*.java")))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
    )
    compiled = sorted(classes.rglob("*.class"))
    if done.returncode != 0 or not compiled:
        raise JarsMissing(f"{sources} did not compile:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    with zipfile.ZipFile(target, "w") as archive:
        for path in compiled:
            # A fixed date, so that the same sources give the same bytes.
            entry = zipfile.ZipInfo(path.relative_to(classes).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, path.read_bytes())
    shutil.rmtree(classes)


def _complete(folder: Path) -> list[Path] | None:
    try:
        stamp: dict[str, int] = json.loads((folder / _STAMP).read_text(encoding="ascii"))
        jars = [folder / name for name in sorted(stamp)]
        whole = all(jar.stat().st_size == stamp[jar.name] for jar in jars)
    except (OSError, ValueError):
        return None
    return jars if whole else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """Run ``python -m flume.jars.cache record`` or ``python -m flume.jars.cache fetch``; returns the exit code."""

    def progress(done: int, total: int, name: str) -> None:
        sys.stderr.write(f"{done}/{total} {name}\n")

    try:
        match arguments:
            case ["record"]:
                sys.stderr.write(f"{CHECKSUMS}: {record(progress)} jars\n")
            case ["fetch"]:
                sys.stdout.write("".join(f"{jar}\n" for jar in ensure_jars(progress, verify=True)))
            case _:
                sys.stderr.write("usage: python -m flume.jars.cache record|fetch\n")
                return 2
    except FlumeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
