"""The agent's class path: Flume's jars, fetched once, and one jar of Headrace's own, compiled here.

::

    pom.xml, checksums.txt ──► jar_set.py ───► <cache>/flume/<key>/*.jar
    java/headrace/*.java ────► compiler.py ──► <cache>/flume/own-<key>/headrace-flume.jar

The key of the second folder is a hash of the sources and of the recorded checksums: a change of the sources compiles
for a second and fetches nothing.

pom.xml lists every jar itself, so nothing has to be resolved and no POM is fetched: Ivy, whose jar is in the pyspark
wheel, gets the 39 jars (20 MB) in 10 s. Resolving the usual way took 67 s, and Ivy's reading of the exclusions gave
92 jars where Maven gives 40. Maven itself takes 8 s but would be one more program to install, and jgo one more
dependency that resolves again.

Jars come from Ivy's built-in public repository, or from the mirror of it that the user's Maven settings name. The
repository need not be trusted: a jar whose SHA-256 is not in checksums.txt never reaches the class path.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flume.errors import FlumeError
from flume.jars.compiler import compile_sources
from flume.jars.jar_set import JarSet, cache_root, filled, key_of
from flume.jars.java import find_java

if TYPE_CHECKING:
    from collections.abc import Callable

    from flume.jars.ivy import Progress

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CHECKSUMS = HERE / "checksums.txt"
SOURCES = HERE / "java"
OWN_JAR = "headrace-flume.jar"


def jar_set() -> JarSet:
    """Return the set of Flume's jars."""
    return JarSet("flume", POM, CHECKSUMS, "flume.jars.cache")


def cache_folder() -> Path:
    """Return where Flume's jars are, or will be."""
    return jar_set().folder()


def ensure_jars(progress: Progress | None = None, *, verify: bool = False) -> list[Path]:
    """Return the class path's jars, our own last, fetching and compiling what is missing.

    Needs no network once the cache is complete. Several processes may call this at once: one works, the others wait.

    Args:
        progress: called with (jars done, jars in all, name of the jar at hand) while fetching.
        verify: hash every fetched jar of a complete cache too, instead of checking presence and size.

    Raises:
        JarsMissing: a jar could not be fetched, or the sources not be compiled.
        JarsDiffer: a jar is not the recorded one.
        JavaMissing: something had to be fetched or compiled and no Java was found.
    """
    jars = jar_set().ensure(progress, verify=verify)

    def compile_own(work: Path) -> list[Path]:
        compile_sources(SOURCES, jars, work / OWN_JAR, find_java())
        return [work / OWN_JAR]

    return [*jars, *filled(_own_folder(), compile_own)]


def _own_folder() -> Path:
    sources = {str(path.relative_to(SOURCES)): path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.java")}
    return cache_root() / "flume" / f"own-{key_of(jar_set().recorded() | sources)}"


def command_line(
    arguments: list[str], module: str, ensure: Callable[..., list[Path]], record: Callable[..., int]
) -> int:
    """Run ``record`` or ``fetch`` for a set of jars and return the exit code.

    Args:
        arguments: of the command line.
        module: the module that was started, for the usage message.
        ensure: returns the jars, fetched and verified; called with a progress function and ``verify=True``.
        record: writes the checksums and returns the number of jars; called with a progress function.
    """

    def progress(done: int, total: int, name: str) -> None:
        sys.stderr.write(f"{done}/{total} {name}\n")

    try:
        match arguments:
            case ["record"]:
                sys.stderr.write(f"{record(progress)} jars recorded\n")
            case ["fetch"]:
                sys.stdout.write("".join(f"{jar}\n" for jar in ensure(progress, verify=True)))
            case _:
                sys.stderr.write(f"usage: python -m {module} record|fetch\n")
                return 2
    except FlumeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def main(arguments: list[str]) -> int:
    """Run ``python -m flume.jars.cache record`` or ``python -m flume.jars.cache fetch``; return the exit code."""
    return command_line(arguments, "flume.jars.cache", ensure_jars, lambda progress: jar_set().record(progress))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
