"""Keeping freed memory in the process.

LMDB takes a buffer for each batch of a transaction and frees it after the commit. glibc gives buffers of that size back
to the kernel at once and asks for them anew, and the kernel clears every page each time. Measured with 350 MB in groups
of eight batches: 0.68 CPU seconds before, 0.29 after. The setting concerns the whole process, so it is the application
that makes it, once, before it starts threads.
"""

from __future__ import annotations

import ctypes
from typing import Final

# Names and numbers of <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGEST_MMAP_THRESHOLD: Final = 32 * 2**20


def keep_freed_memory(kept_bytes: int = 128 * 2**20) -> bool:
    """Let the allocator keep up to ``kept_bytes`` of freed memory for the next batch.

    Returns:
        Whether the allocator has such a setting: it is glibc's. Elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # One arena: in a thread's own arena freed memory goes back regardless of the threshold.
    wanted = ((_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_M_TRIM_THRESHOLD, kept_bytes), (_M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in wanted)
