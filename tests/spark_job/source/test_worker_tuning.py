"""The tuning of a worker process: loaded modules are frozen once, and freed memory stays."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

from spark_job.source.worker_tuning import WorkerProcess

if TYPE_CHECKING:
    import pytest

PROGRAM = """
import ctypes, gc
from spark_job.source.worker_tuning import WorkerProcess
process = WorkerProcess()
process.after_task()
first = gc.get_freeze_count()
kept = [[] for _ in range(1000)]
process.after_task()
assert gc.get_freeze_count() == first > 0, "nothing new was loaded, so nothing new is frozen"
import xml.dom.minidom
process.after_task()
assert gc.get_freeze_count() > first, "what a later task loads is frozen as well"
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

before = resident_pages()
block = libc.malloc(16 * 2**20)
libc.memset(block, 1, 16 * 2**20)
libc.free(block)
print(resident_pages() - before)
"""


def test_loaded_modules_are_frozen_once_and_freed_memory_stays() -> None:
    # Another process, since freezing and mallopt cannot be taken back.
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60)
    pages_of_16_mib = 16 * 2**20 // 4096
    assert int(done.stdout) > pages_of_16_mib * 0.9, "the freed block went back to the system"


def test_garbage_is_collected_before_the_rest_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: calls.append("collect"))
    monkeypatch.setattr(gc, "freeze", lambda: calls.append("freeze"))
    process = WorkerProcess(keeps_memory=True)
    process.after_task()
    process.after_task()
    assert calls == ["collect", "freeze"]
