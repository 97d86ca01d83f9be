"""Compiles Headrace's own Java classes with Janino, which is in the pyspark wheel, so a JRE is enough.

Janino knows no lambdas, so the sources in ``java/headrace`` have none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

from flume.errors import JarsMissing
from flume.jars import ivy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_COMPILE_TIMEOUT_S = 120.0
_QUOTED_CHARACTERS = 2000


def compile_sources(sources: Path, class_path: Iterable[Path], target: Path, java: Path) -> None:
    """Compile every .java file below ``sources`` into the jar ``target``.

    Raises:
        JarsMissing: the compiler refused; the text ends with the compiler's output.
    """
    classes = target.with_suffix(".classes")
    classes.mkdir(parents=True)
    compiler = os.pathsep.join(str(ivy.wheel_jar(name)) for name in ("commons-compiler-", "janino-"))
    command = [str(java), "-cp", compiler, "org.codehaus.commons.compiler.samples.CompilerDemo"]
    command += ["-d", str(classes), "-encoding", "UTF-8", "-classpath", os.pathsep.join(map(str, class_path))]
    command += map(str, sorted(sources.rglob("*.java")))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
    )
    compiled = sorted(classes.rglob("*.class"))
    # Janino's sample program may end with 0 although it wrote nothing.
    if done.returncode != 0 or not compiled:
        said = (done.stdout + done.stderr).strip()[-_QUOTED_CHARACTERS:]
        raise JarsMissing(f"{sources} did not compile:\n{said}")
    with zipfile.ZipFile(target, "w") as archive:
        for path in compiled:
            # A fixed date, so that the same sources give the same bytes.
            entry = zipfile.ZipInfo(path.relative_to(classes).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, path.read_bytes())
    shutil.rmtree(classes)
