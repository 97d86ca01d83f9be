"""Each stage of the Dockerfile copies every module of the project that its commands import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source_tree import PACKAGES, ROOT

# Prints our modules that were found outside of the current folder: the project is installed here, but not in an image.
IMPORT = """
import importlib, pathlib, sys
here = str(pathlib.Path.cwd())
for name in sys.argv[2:]:
    importlib.import_module(name)
ours = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in sys.argv[1].split(",")}
print(sorted(n for n, m in ours.items() if not str(m.__file__).startswith(here)))
"""


def copied(stage: str, folder: Path) -> None:
    """Copy into ``folder`` what a stage copies of the project's packages into ``/build`` or ``/opt/headrace/app``."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (body,) = (part for part in text.split("\nFROM ")[1:] if part.partition("\n")[0].endswith(f" AS {stage}"))
    for line in body.splitlines():
        words = line.split()
        if words[:1] != ["COPY"] or words[1].startswith("--"):
            continue
        *sources, target = words[1:]
        place = folder / target.removeprefix("/build").removeprefix("/opt/headrace/app").strip("/")
        for source in map(Path, sources):
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)


@pytest.mark.parametrize(
    ("stage", "modules"),
    [
        ("jars", ["flume.jars.cache"]),
        ("agent", ["headrace.services.__main__", "headrace.services.agent", "headrace.services.health"]),
        ("agent", ["headrace.services.show_config"]),
        ("spark", ["headrace.services.spark", "headrace.services.bridge", "headrace.services.status"]),
        ("spark", ["headrace.services.precompile", "avro_bridge.cli", "spark_job.cli", "spark_job.jobs.url_counts"]),
    ],
)
def test_a_stage_has_the_modules_that_it_imports(stage: str, modules: list[str], tmp_path: Path) -> None:
    copied(stage, tmp_path)
    command = [sys.executable, "-c", IMPORT, ",".join(PACKAGES), *modules]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_module_that_is_not_copied_is_caught(tmp_path: Path) -> None:
    copied("jars", tmp_path)
    command = [sys.executable, "-c", IMPORT, ",".join(PACKAGES), "flume.jars.cache"]
    shutil.rmtree(tmp_path / "headrace")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert "headrace.common.files" in done.stdout
