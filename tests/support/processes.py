"""For tests of how processes are ended: programs that are hard to end, and the processes that belong to a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from headrace.local.orphan_guard import STATE_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

IGNORE_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", file=sys.stderr, flush=True)
time.sleep(600)
"""
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, file=sys.stderr, flush=True)
time.sleep(600)
"""


def processes_of(state: Path) -> list[int]:
    """Return the processes that belong to a run over ``state``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STATE_VARIABLE) == str(state) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
