"""What the kit does for the Python process that a task runs in, which Spark uses again for the next task.

======================================================  =============================================================
what happens after each task                            what is done about it, once a process
======================================================  =============================================================
Spark's worker runs a full garbage collection, which    What is loaded is *frozen*: the collector passes over it.
walks the objects of every loaded module: with Polars   New modules are frozen after the task that loaded them.
and numba a tenth of a second, though none is garbage.
glibc gives the memory of the events that were read     glibc is told to keep as much as reading takes.
back to the system, and the next task's reading waits
for the system to clear as many pages again.
======================================================  =============================================================

Together they took two fifths of the processor time that a worker spent on reading and counting.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass

from headrace.common.allocator import keep_freed_memory


@dataclass
class WorkerProcess:
    """What was done already."""

    frozen_modules: int = 0
    keeps_memory: bool = False

    def after_task(self) -> None:
        """Prepare the process for the next task."""
        if not self.keeps_memory:
            keep_freed_memory()
            self.keeps_memory = True
        if len(sys.modules) != self.frozen_modules:
            # What is garbage already must not be frozen with the rest.
            gc.collect()
            gc.freeze()
            self.frozen_modules = len(sys.modules)


THIS_PROCESS = WorkerProcess()


def limit_polars_threads() -> None:
    """Give Polars one thread, since Spark runs one task a core; a user's ``POLARS_MAX_THREADS`` takes precedence.

    Polars reads the setting when it is imported, so call this before that.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
