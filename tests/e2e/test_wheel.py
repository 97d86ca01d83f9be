"""An installation from the wheel works outside of a checkout, and writes nothing into its packages."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from flume.jars.jar_set import cache_root
from headrace.containers.places import PACKAGES
from headrace.sample import SampleSettings
from tests.support.distributions import build
from tests.support.headrace_run import hits_by_url, make_sample
from tests.support.ports import free_port
from tests.support.source_tree import ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

SAMPLE = SampleSettings(lines=3_000, seed=5, malformed=3)
INSTALL_TIMEOUT_S = 1200
RUN_TIMEOUT_S = 300
UP_TIMEOUT_S = 900


class Installation:
    """A virtual environment that has the wheel and its locked requirements, and an empty folder to work in."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._venv = folder / "venv"
        self._caches = folder / "caches"
        self.environment = {
            # Nothing of this checkout: neither its modules nor its virtual environment.
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))},
            "HEADRACE_CACHE": str(cache_root()),
            "XDG_CACHE_HOME": str(self._caches),
            "COLUMNS": "100",
        }
        subprocess.run([sys.executable, "-m", "venv", str(self._venv)], check=True)
        self._pip("--require-hashes", "-r", str(ROOT / "requirements.lock"))
        self._pip("--no-deps", str(wheel))

    def _pip(self, *arguments: str) -> None:
        command = [str(self._venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr

    def command(self, *arguments: str) -> list[str]:
        """Return the words that run the installed command line."""
        return [str(self._venv / "bin" / "headrace"), *arguments]

    def run(
        self, *arguments: str, settings: Mapping[str, str] | None = None, timeout_s: float = RUN_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the empty folder."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **(settings or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def installed_files(self) -> dict[str, str]:
        """Return the hash of every file of ours that is installed; bytecode, which Python writes, is left out."""
        (site_packages,) = self._venv.glob("lib/python3*/site-packages")
        return {
            str(path.relative_to(site_packages)): hashlib.sha256(path.read_bytes()).hexdigest()
            for package in PACKAGES
            for path in (site_packages / package).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }

    def machine_code(self) -> list[Path]:
        """Return the kernels' machine code in the user's cache folder."""
        return list(self._caches.rglob("*.nbc"))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation; at the end no file of it has changed."""
    (wheel,) = build(tmp_path_factory.mktemp("dist")).glob("*.whl")
    made = Installation(tmp_path_factory.mktemp("installation"), wheel)
    before = made.installed_files()
    yield made
    assert made.installed_files() == before, "something was written into the installed packages"


@pytest.mark.java
@pytest.mark.timeout(INSTALL_TIMEOUT_S)
def test_an_installed_doctor_finds_nothing_missing(installation: Installation) -> None:
    examined = installation.run("doctor", "--json")
    levels = {each["name"]: each["level"] for each in json.loads(examined.stdout)}
    assert (examined.returncode, levels["PySpark"], levels["Flume's jars"]) == (0, "ok", "ok"), examined.stdout


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.timeout(INSTALL_TIMEOUT_S)
def test_an_installed_run_counts_a_file_and_keeps_its_machine_code_in_the_users_cache(
    installation: Installation,
) -> None:
    expected = make_sample(installation.folder / "sample.log", SAMPLE)
    ended = installation.run("run", "--once", "sample.log", "--window", "1h", "--out", "counts.jsonl")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "lines read 3,000 = counted 2,997 + malformed 3 + too old 0\n"
    assert hits_by_url(installation.folder / "counts.jsonl") == expected
    assert installation.machine_code()


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.timeout(INSTALL_TIMEOUT_S)
def test_an_installed_demo_shows_a_table_and_ends_with_ctrl_c(installation: Installation) -> None:
    shown, told = installation.folder / "shown.txt", installation.folder / "told.txt"
    with shown.open("wb") as stdout, told.open("wb") as stderr:
        demo = subprocess.Popen(
            installation.command("demo", "--lines", "3000"),
            cwd=installation.folder,
            env=installation.environment,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            wait_until(lambda: "share  errors" in shown.read_text(), RUN_TIMEOUT_S, "the first table")
            demo.send_signal(signal.SIGINT)
            assert demo.wait(120) == 0, told.read_text()
        finally:
            demo.kill()
            demo.wait()
    assert told.read_text().splitlines()[-1] == "headrace: stopped; the next start goes on from here"


@pytest.mark.docker
@pytest.mark.timeout(INSTALL_TIMEOUT_S + UP_TIMEOUT_S)
def test_installed_containers_are_built_and_count_a_file(installation: Installation) -> None:
    settings = {
        "COMPOSE_PROJECT_NAME": f"headrace-wheel-{uuid.uuid4().hex[:8]}",
        "HEADRACE_MASTER_UI_PORT": str(free_port()),
        "HEADRACE_SINKS": "jsonl:/out/counts.jsonl",
        "HEADRACE_WINDOW": "7d",
    }
    expected = make_sample(installation.folder / "for-containers.log", SAMPLE)
    counts = installation.folder / "containers" / "out" / "counts.jsonl"
    try:
        up = installation.run("up", timeout_s=UP_TIMEOUT_S, settings=settings)
        assert up.returncode == 0, up.stdout + up.stderr
        assert "headrace drop --containers access.log" in up.stdout
        dropped = installation.run("drop", "--containers", "for-containers.log", settings=settings)
        assert dropped.returncode == 0, dropped.stderr
        wait_until(lambda: counts.exists() and hits_by_url(counts) == expected, RUN_TIMEOUT_S, "the counts")
        wait_until(
            lambda: installation.run("status", "--containers", settings=settings).returncode == 0,
            60,
            "every sum to hold",
        )
        down = installation.run("down", settings=settings)
        assert down.returncode == 0, down.stderr
    finally:
        installation.run("reset", "--yes", settings=settings)
    assert not (installation.folder / "containers").exists()
