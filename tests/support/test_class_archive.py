"""The archive of Spark's classes changes nothing that a program says, also where it does not fit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pyspark
import pytest

from tests.support.class_archive import java_options


def test_without_an_archive_java_gets_no_option(tmp_path: Path) -> None:
    assert java_options(tmp_path / "none.jsa") == ""


@pytest.mark.java
def test_java_ignores_an_archive_of_other_jars_and_says_nothing(tmp_path: Path) -> None:
    java = shutil.which("java")
    assert java is not None
    jars = Path(pyspark.__file__).parent / "jars"
    launcher, other = (next(jars.glob(name)) for name in ("spark-launcher_*.jar", "commons-io-*.jar"))
    archive = tmp_path / "classes.jsa"
    making = [
        java,
        f"-XX:ArchiveClassesAtExit={archive}",
        "-cp",
        f"{launcher}:{other}",
        "org.apache.spark.launcher.Main",
    ]
    # The launcher wants arguments and fails, after it was loaded.
    subprocess.run(making, capture_output=True, check=False, timeout=60)

    def output(*options: str) -> str:
        command = [java, *options, "-cp", str(other), "--version"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return ended.stdout + ended.stderr

    assert "archive" in output(f"-XX:SharedArchiveFile={archive}")
    assert output(*java_options(archive).split()) == output()
