"""What every figure is printed with: the machine, and a clear line for each ratio."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from flume.jars.java import find_java


def describe() -> str:
    """Return one line that names the machine and what runs on it."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    java = subprocess.run([str(find_java()), "-version"], capture_output=True, text=True, check=True, timeout=60)
    return ", ".join(
        [
            platform.node(),
            f"{os.cpu_count()} cores of {processor}",
            f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
            f"{platform.system()} {platform.release()}",
            f"Python {platform.python_version()}",
            java.stderr.splitlines()[0],
            f"pyspark {version('pyspark')}",
        ]
    )


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of a process and of everything below it that still lives or was waited for."""
    process = psutil.Process(pid)
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    ended = times[0].children_user + times[0].children_system
    return float(sum(each.user + each.system for each in times) + ended)
