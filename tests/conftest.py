"""What holds for every test: why one is skipped, and that none leaves a process behind.

A test marked ``java`` or ``spark`` needs Java 17 or newer, one marked ``docker`` a Docker engine, one marked
``postgresql``, ``mariadb``, ``promtool`` or ``compose`` the programs of that name. Where that is missing the test is
skipped and the reason names it; with ``HEADRACE_REQUIRE=java,spark`` (CI sets it) it fails instead, so that a machine
that lost its Java cannot look green.

Every process that a test starts inherits a mark in its environment. After the last test no process may carry it, also
not one whose parent is gone.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import settings

from tests.support import class_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "HEADRACE_TEST_SESSION"
NEEDS = {
    "java": "java",
    "spark": "java",
    "docker": "docker",
    "postgresql": "postgresql",
    "mariadb": "mariadb",
    "promtool": "promtool",
    "compose": "docker-compose",
}
COMMANDS = {
    "promtool": "on Debian `apt-get install prometheus`",
    "docker-compose": "on Debian `apt-get install docker-compose`",
}
LEAVE_TIMEOUT_S = 10.0
SLOW_S, WITH_PROGRAMS_S, OTHER_S = 30.0, 4.0, 0.05
"""Rough times of a test marked ``slow``, of another one that starts Java or a server, and of all others."""

LIMIT_TO_TIME = 8
"""A slow test with a time limit of its own takes about this part of it."""

# A limit on the time of a generated example would test how busy the machine is.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

# A test ends long before Java's optimising compiler has paid for itself: it took half of a job's processor time.
os.environ.setdefault(class_archive.VARIABLE, f"-XX:TieredStopAtLevel=1 {class_archive.java_options()}")


@functools.cache
def missing(prerequisite: str) -> str:
    """Return why ``prerequisite`` cannot be used here, an empty text when it can."""
    if prerequisite == "java":
        from headrace.doctor import java_problem

        return java_problem()
    if prerequisite in ("postgresql", "mariadb"):
        from tests.support.databases import missing_program

        return missing_program(prerequisite)
    if prerequisite in COMMANDS:
        return "" if shutil.which(prerequisite) else f"needs {prerequisite}: {COMMANDS[prerequisite]}"
    docker = shutil.which("docker")
    if docker is None:
        return "needs a Docker engine, and there is no docker command"
    engine = subprocess.run([docker, "info"], capture_output=True, timeout=30, check=False)
    return "" if engine.returncode == 0 else "needs a Docker engine, and docker info cannot reach one"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first: at the end, processes that share the files would wait for the last one."""
    took_s: dict[str, float] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        took_s[file] = took_s.get(file, 0.0) + _rough_time_s(item)
    items.sort(key=lambda item: -took_s[item.nodeid.partition("::")[0]])


def _rough_time_s(item: pytest.Item) -> float:
    if item.get_closest_marker("slow") is not None:
        limit = item.get_closest_marker("timeout")
        return SLOW_S if limit is None else max(SLOW_S, limit.args[0] / LIMIT_TO_TIME)
    return WITH_PROGRAMS_S if any(item.get_closest_marker(name) for name in NEEDS) else OTHER_S


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose prerequisite is missing, or fail it where ``HEADRACE_REQUIRE`` names its marker."""
    required = os.environ.get("HEADRACE_REQUIRE", "").split(",")
    for marker, prerequisite in NEEDS.items():
        if item.get_closest_marker(marker) is None:
            continue
        reason = missing(prerequisite)
        if reason and marker in required:
            pytest.fail(f"HEADRACE_REQUIRE names {marker}, but this machine {reason}", pytrace=False)
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def no_process_survives() -> Iterator[None]:
    """Fail the session when a process started by a test is still there after the last one."""
    mark = uuid.uuid4().hex
    os.environ[MARK] = mark
    yield
    _end_spark_gateway()
    left = _marked(mark)
    _, alive = psutil.wait_procs(left, timeout=LEAVE_TIMEOUT_S)
    # A process may have started another one while the first ones were waited for.
    alive = _marked(mark)
    lines = [f"{process.pid} {' '.join(_command(process))[:200]}" for process in alive]
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=LEAVE_TIMEOUT_S)
    if lines:
        pytest.fail("processes outlived the tests that started them:\n" + "\n".join(lines), pytrace=False)


def _end_spark_gateway() -> None:
    """End the JVM that PySpark keeps for the whole process; it has no owner among the tests."""
    if "pyspark" not in sys.modules:
        return
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is not None:
        process.stdin.close()
        process.wait(timeout=60)
    SparkContext._gateway = None
    SparkContext._jvm = None


def _marked(mark: str) -> list[psutil.Process]:
    """Return the other processes that carry ``mark``, those aside that Python itself ends when this one does."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) == mark and not _is_pythons_own(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _is_pythons_own(process: psutil.Process) -> bool:
    return any("multiprocessing.resource_tracker" in part for part in process.cmdline())


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return ["(gone)"]
