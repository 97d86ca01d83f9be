"""Tunes the Python process that runs a task, which Spark reuses for the next task.

======================================================  =============================================================
what happens after each task                            what this module does about it, once per process
======================================================  =============================================================
Spark's worker runs a full garbage collection, which    It *freezes* what is loaded: the collector skips it.
walks the objects of every loaded module: with Polars   It freezes new modules after the task that loaded them.
and numba a tenth of a second, though none is garbage.
glibc returns the memory of the events that were read   It makes glibc keep as much memory as reading takes.
to the system, and the next task's reading waits
until the system has cleared as many pages again.
======================================================  =============================================================

Together, both took two fifths of the processor time that a worker spent on reading and counting.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass

from headrace.common.allocator import keep_freed_memory


@dataclass
class WorkerProcess:
    """What was tuned already in this process."""

    frozen_modules: int = 0
    keeps_memory: bool = False

    def after_task(self) -> None:
        """Tune the process for the next task."""
        if not self.keeps_memory:
            keep_freed_memory()
            self.keeps_memory = True
        if len(sys.modules) != self.frozen_modules:
            # First collect: garbage that is frozen would stay for ever.
            gc.collect()
            gc.freeze()
            self.frozen_modules = len(sys.modules)


THIS_PROCESS = WorkerProcess()


def limit_polars_threads() -> None:
    """Give Polars one thread, since Spark runs one task a core; a user's ``POLARS_MAX_THREADS`` takes precedence.

    Polars reads the setting when it is imported, so call this before that.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
