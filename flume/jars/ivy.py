"""Fetches a fixed list of jars with Ivy, whose jar is in the pyspark wheel.

Ivy gets the coordinates of each jar and is told to read no POM and to follow no dependency. So it only does what it is
good at: map coordinates to the repository's layout, fetch, retry, cache.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from flume.errors import JarsDiffer, JarsMissing

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (jars done, jars in all, name of the jar at hand)."""

_POM_NAMESPACE = "{http://maven.apache.org/POM/4.0.0}"
_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
_FETCH_TIMEOUT_S = 900.0
_QUOTED_LINES = 20


@dataclass(frozen=True, slots=True, order=True)
class Coordinates:
    """One jar of a Maven repository."""

    group: str
    artifact: str
    version: str

    @property
    def file_name(self) -> str:
        """The name of the jar, in the repository and on the class path."""
        return f"{self.artifact}-{self.version}.jar"


def read_pom(path: Path) -> list[Coordinates]:
    """Read the dependencies that a POM lists, with its properties substituted.

    Raises:
        JarsDiffer: the file is not a POM, a dependency is incomplete, or a property is used but not defined.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - the project's own file
    except (OSError, ET.ParseError) as error:
        raise JarsDiffer(f"{path}: not a readable POM: {error}") from error
    properties = {
        element.tag.removeprefix(_POM_NAMESPACE): element.text or ""
        for element in root.iterfind(f"{_POM_NAMESPACE}properties/*")
    }

    def text(dependency: ET.Element, name: str) -> str:
        found = dependency.findtext(_POM_NAMESPACE + name)
        if not found:
            raise JarsDiffer(
                f"{path}: a dependency has no {name}; every jar is listed with group, artifact and version"
            )
        try:
            return _PLACEHOLDER.sub(lambda match: properties[match.group(1)], found)
        except KeyError as error:
            raise JarsDiffer(f"{path}: the property {error} is used but not defined") from error

    dependencies = root.iterfind(f"{_POM_NAMESPACE}dependencies/{_POM_NAMESPACE}dependency")
    return sorted(Coordinates(text(d, "groupId"), text(d, "artifactId"), text(d, "version")) for d in dependencies)


def fetch(wanted: list[Coordinates], folder: Path, java: Path, progress: Progress | None = None) -> list[Path]:
    """Fetch jars into a new folder; return their paths in the order of ``wanted``.

    Raises:
        JarsMissing: a jar could not be fetched; the text names it and ends with Ivy's last lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ivy-", dir=folder.parent) as work:
        settings, module = Path(work, "settings.xml"), Path(work, "ivy.xml")
        settings.write_text(settings_xml(central_mirror(Path.home() / ".m2" / "settings.xml")), encoding="utf-8")
        module.write_text(module_xml(wanted), encoding="utf-8")
        command = [str(java), *proxy_options(dict(os.environ)), "-jar", str(wheel_jar("ivy-"))]
        command += ["-settings", str(settings), "-ivy", str(module), "-cache", str(Path(work, "cache"))]
        command += ["-retrieve", f"{folder}/[artifact]-[revision].[ext]"]
        said = _run(command, len(wanted), progress)
    jars = [folder / coordinates.file_name for coordinates in wanted]
    if not all(jar.is_file() for jar in jars):
        # Ivy copies no jar if one is missing; its summary names the missing ones.
        summary = [line for line in said if line.startswith("::") and line.endswith("not found")]
        failed = [c.file_name for c in wanted if f":: {c.group}#{c.artifact};{c.version}: not found" in summary]
        raise JarsMissing(
            f"could not fetch {', '.join(failed) or 'the jars'}; check the network, the proxy variables and the "
            "mirror in ~/.m2/settings.xml. Ivy said:\n" + "\n".join(said)
        )
    return jars


def _run(command: list[str], total: int, progress: Progress | None) -> list[str]:
    done, said = 0, []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for two lines above
        # On another thread, because the loop below blocks while Ivy prints nothing.
        deadline = threading.Timer(_FETCH_TIMEOUT_S, process.kill)
        deadline.start()
        try:
            for line in process.stdout:
                text = line.strip()
                if progress and text.startswith("[SUCCESSFUL"):
                    done += 1
                    progress(done, total, text.partition("!")[2].split(" ")[0])
                elif text and not text.startswith(".."):
                    said.append(text)
        except BaseException:
            process.kill()
            raise
        finally:
            deadline.cancel()
    return said[-_QUOTED_LINES:]


def settings_xml(mirror: str | None) -> str:
    """Return Ivy's settings: its built-in public repository, or a mirror of it."""
    root = f" root={quoteattr(mirror)}" if mirror else ""
    return (
        '<ivysettings><settings defaultResolver="central"/><resolvers>'
        f'<ibiblio name="central" m2compatible="true" usepoms="false"{root}/>'
        "</resolvers></ivysettings>"
    )


def module_xml(wanted: list[Coordinates]) -> str:
    """Return Ivy's module description: these jars, without their dependencies."""
    lines = "".join(
        f"<dependency org={quoteattr(c.group)} name={quoteattr(c.artifact)} rev={quoteattr(c.version)} "
        'transitive="false"/>'
        for c in wanted
    )
    return (
        '<ivy-module version="2.0"><info organisation="headrace" module="flume-agent"/>'
        f"<dependencies>{lines}</dependencies></ivy-module>"
    )


def central_mirror(settings: Path) -> str | None:
    """Return the mirror of Central in a user's Maven settings, if any.

    Mirrors of ``central``, ``*`` and ``external:*`` are used. A mirror that needs a password is not supported; fetching
    from it fails.
    """
    try:
        root = ET.parse(settings).getroot()  # noqa: S314 - the user's own file, which Maven reads too
    except (OSError, ET.ParseError):
        return None
    for mirror in root.iterfind(".//{*}mirrors/{*}mirror"):
        of = {part.strip() for part in (mirror.findtext("{*}mirrorOf") or "").split(",")}
        address = (mirror.findtext("{*}url") or "").strip()
        if address and "!central" not in of and of & {"central", "*", "external:*"}:
            return address.rstrip("/") + "/"
    return None


def proxy_options(environment: dict[str, str]) -> list[str]:
    """Return the usual proxy variables as system properties, since Java does not read the variables."""
    options: list[str] = []
    for scheme in ("http", "https"):
        address = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme.upper()}_PROXY")
        parts = urlsplit(address if "://" in address else f"http://{address}") if address else None
        if parts and parts.hostname:
            options += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={parts.port or 80}"]
    return options


def wheel_jar(prefix: str) -> Path:
    """Return the jar in the pyspark wheel whose name is ``prefix`` and a version.

    Raises:
        JarsMissing: pyspark is not installed, or its wheel has no such jar.
    """
    spec = importlib.util.find_spec("pyspark")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for jar in sorted(Path(place, "jars").glob(f"{prefix}[0-9]*.jar")):
            return jar
    raise JarsMissing(f"no {prefix}*.jar in the pyspark package; install the project's requirements")
