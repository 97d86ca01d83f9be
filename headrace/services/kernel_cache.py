"""The kernels' machine code: made when the image is built, copied to where numba may write when a container starts.

numba uses a cache only in a folder that it can write to, and the container's root is read-only. What was made for
another processor than this one is made anew, into the copy, which takes most of a minute.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

KEPT = Path("/opt/headrace/numba")


def bring_kernels() -> None:
    """Copy the image's machine code to the folder that ``NUMBA_CACHE_DIR`` names."""
    target = os.environ.get("NUMBA_CACHE_DIR")
    if target and KEPT.is_dir():
        shutil.copytree(KEPT, target, dirs_exist_ok=True)


def precompile() -> None:
    """Make the machine code of every kernel, into ``NUMBA_CACHE_DIR``."""
    import avro_bridge.app  # noqa: F401 - registers the kernels of all modules
    from avro_bridge.wire.kernels.compiled import precompile as compile_for_bridge
    from spark_job.parse.kernels.compiled import precompile as compile_for_workers

    compile_for_bridge()
    compile_for_workers()
