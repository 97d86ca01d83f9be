"""Finds a Java launcher that is new enough."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from flume.errors import JavaMissing

MINIMUM_VERSION = 17
_INSTALL = (
    "install it with `apt-get install openjdk-17-jre-headless` (Debian), `dnf install java-17-openjdk-headless` "
    "(Fedora) or `brew install openjdk@17` (macOS), or point JAVA_HOME at it"
)
_VERSION = re.compile(r'version "(\d+)')
_ANSWER_TIMEOUT_S = 30.0


def find_java() -> Path:
    """Return the Java launcher: that of JAVA_HOME if it is usable, else the first on the PATH.

    Raises:
        JavaMissing: none was found, or only older ones; the text is one sentence with the commands to install it.
    """
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    candidates.append("java")
    found: list[str] = []
    for candidate in candidates:
        path = shutil.which(candidate)
        if path is None:
            continue
        version = _major_version(path)
        if version is not None and version >= MINIMUM_VERSION:
            return Path(path)
        found.append(f"{path} is {'version ' + str(version) if version else 'not usable'}")
    seen = f" ({'; '.join(found)})" if found else ""
    raise JavaMissing(f"Java {MINIMUM_VERSION} or newer is needed and was not found{seen}: {_INSTALL}")


def _major_version(java: str) -> int | None:
    # Being on the PATH proves nothing: macOS has a stub there that only tells where to get Java.
    try:
        answer = subprocess.run(
            [java, "-version"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stderr + answer.stdout)
    return int(match.group(1)) if match else None
