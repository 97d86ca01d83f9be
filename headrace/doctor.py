"""Checks of this machine, each with advice for the case that it fails.

A check returns a :class:`Finding` and never raises. The command ends with exit code 1 after a ``fault``, but not after
a ``warning``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headrace.common.text import binary_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JAVA_MINIMUM = 17
PYTHON_MINIMUM = (3, 11)
PYTHON_BELOW = (3, 14)
FREE_DISK_BYTES = 2 << 30
MEMORY_BYTES = 2 << 30
OPEN_FILES = 1024

INSTALL_PYTHON = (
    "install Python 3.11 to 3.13: on Debian `sudo apt-get install python3 python3-venv`, "
    "on Fedora `sudo dnf install python3.13`, on macOS `brew install python@3.13`"
)


@dataclass(frozen=True)
class Finding:
    """The result of one check; ``advice`` says what to do and is empty if nothing is wrong."""

    name: str
    level: Literal["ok", "warning", "fault"]
    found: str
    advice: str = ""


def examine(state: Path, spool: Path) -> Iterator[Finding]:
    """Run every check, the most important first. ``state`` and ``spool`` need not exist."""
    yield check_python()
    yield check_java()
    yield check_pyspark()
    yield check_jars()
    yield check_disk(state)
    yield check_writable("state folder", state)
    yield check_writable("spool folder", spool)
    yield check_ports()
    yield check_open_files()
    yield check_memory()


def check_python() -> Finding:
    """Check the interpreter of this command, which also runs the bridge and the job."""
    version = sys.version_info[:3]
    found = ".".join(map(str, version))
    if PYTHON_MINIMUM <= version[:2] < PYTHON_BELOW:
        return Finding("Python", "ok", found)
    return Finding("Python", "fault", found, INSTALL_PYTHON)


def java_problem() -> str:
    """Return why the Java of this machine cannot be used and what to do; empty if it can be used."""
    from flume.errors import JavaMissing
    from flume.jars.java import find_java

    try:
        find_java()
    except JavaMissing as error:
        return str(error)
    return ""


def check_java() -> Finding:
    """Check the Java for the agent and for Spark."""
    fault, _, advice = java_problem().partition(": ")
    if fault:
        return Finding("Java", "fault", fault, advice)
    return Finding("Java", "ok", f"{JAVA_MINIMUM} or newer")


def check_pyspark() -> Finding:
    """Check that Spark can be imported, in a separate process as for the job."""
    command = [sys.executable, "-c", "import pyspark; print(pyspark.__version__)"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode == 0:
        return Finding("PySpark", "ok", ended.stdout.strip())
    reason = (ended.stderr.strip().splitlines() or ["no output"])[-1][:200]
    return Finding("PySpark", "fault", reason, "install the Python packages again; in a checkout: `make setup`")


def check_jars() -> Finding:
    """Check that Flume's jars are in their cache folder."""
    from flume.jars.cache import cache_folder

    folder = cache_folder()
    # The folder gets its name when it is complete. Each start checks that its files are still whole.
    if folder.is_dir():
        return Finding("Flume's jars", "ok", str(folder))
    advice = "the first run fetches them, or `headrace jars` now: either needs the network once"
    return Finding("Flume's jars", "warning", f"no {folder}", advice)


def check_disk(state: Path) -> Finding:
    """Check the free space where the bridge keeps its log."""
    free = shutil.disk_usage(_nearest_folder(state)).free
    found = f"{binary_size(free)} free"
    if free >= FREE_DISK_BYTES:
        return Finding("disk", "ok", found)
    advice = (
        "free some space, or name a --state folder on another disk: the bridge refuses events when the disk is full"
    )
    return Finding("disk", "warning", found, advice)


def check_writable(name: str, folder: Path) -> Finding:
    """Check that files can be created in a folder, or in the nearest one above it that exists."""
    nearest = _nearest_folder(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        advice = "give this user write access, or choose another folder"
        return Finding(name, "fault", f"{nearest} cannot be written", advice)
    return Finding(name, "ok", f"{folder} {'is writable' if nearest == folder else 'can be created'}")


def check_ports() -> Finding:
    """Check that loopback sockets work. The system chooses the ports, so no fixed number must be free."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return Finding("loopback ports", "ok", "can be bound and reached")
    except OSError as error:
        return Finding("loopback ports", "fault", str(error), "allow connections to 127.0.0.1 (a firewall or sandbox?)")


def check_open_files() -> Finding:
    """Check the limit of open files for one process."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        return Finding("open files", "ok", "unlimited" if soft == resource.RLIM_INFINITY else str(soft))
    return Finding("open files", "warning", str(soft), f"raise it in this shell: `ulimit -n {OPEN_FILES}`")


def check_memory() -> Finding:
    """Check the memory that is available now; agent, bridge and Spark together need about 2 GiB."""
    import psutil

    available = psutil.virtual_memory().available
    found = f"{binary_size(available)} available"
    if available >= MEMORY_BYTES:
        return Finding("memory", "ok", found)
    return Finding("memory", "warning", found, "end other programs: agent, bridge and Spark need about 2 GiB")


def _nearest_folder(path: Path) -> Path:
    """Return ``path`` or the nearest folder above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())
