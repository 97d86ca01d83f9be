"""Locks the spool folder and the file channel's folder, so that each has one agent at a time.

Two agents on one folder ship lines twice and damage the channel. Flume's own lock does not prevent it: Flume tries the
lock a second time through another descriptor, and closing that one releases the first (POSIX record locks belong to
the process, not to the descriptor). So on Linux nothing is locked, and Flume's log does not say so.

The lock here is an ``flock`` on a file in the folder. It belongs to the open file, which the agent inherits: it is held
until both launcher and agent have ended, however they end. An agent that outlives its launcher keeps others away.

The lock file holds the format version of the folder's content (the channel's events, the tracker) as a decimal number
and a line feed. An empty file means version 1: folders were locked before the number was introduced.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from flume.errors import AgentError
from headrace.common.files import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

# The source does not read names that begin with a dot.
LOCK_FILE = ".headrace.lock"
FORMAT_VERSION: Final = 1
OLDEST_VERSION: Final = 1
_FIRST_VERSION: Final = 1
_MAX_NUMBER_BYTES: Final = 20
_RETRY_S = 0.1


def lock_folders(
    folders: Sequence[Path], timeout_s: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> tuple[int, ...]:
    """Lock folders, all or none; return the descriptors, for a child to inherit and then for :func:`unlock`.

    An agent whose launcher has died stops by itself within seconds; it is waited for.

    Args:
        folders: must exist.
        timeout_s: how long to wait for an agent that is stopping.
        clock: monotonic seconds.
        sleep: waits that many seconds.

    Raises:
        AgentError: another agent still holds a folder, the lock file cannot be made, or the folder's format is
            unknown to this version.
    """
    held: list[int] = []
    deadline = clock() + timeout_s
    try:
        for folder in folders:
            held.append(os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            while not try_lock(held[-1]):
                _check_deadline(deadline, clock, folder)
                sleep(_RETRY_S)
            _check_version(held[-1], folder)
    except OSError as error:
        unlock(held)
        raise AgentError(f"{error.filename}: cannot be locked: {error.strerror}") from error
    except BaseException:
        unlock(held)
        raise
    return tuple(held)


def unlock(held: Iterable[int]) -> None:
    """Close this process's descriptors; a child that inherited them keeps the lock."""
    # Never LOCK_UN: it would release the lock of the child as well, which shares the open file.
    for descriptor in held:
        os.close(descriptor)


def _check_deadline(deadline: float, clock: Callable[[], float], folder: Path) -> None:
    if clock() >= deadline:
        raise AgentError(f"another agent uses {folder}: stop it first, since two agents would ship lines twice")


def _check_version(descriptor: int, folder: Path) -> None:
    """Refuse a folder of another format, and write this version's number. The lock must be held."""
    text = os.pread(descriptor, _MAX_NUMBER_BYTES, 0).strip()
    if text and not text.isdigit():
        raise AgentError(
            f"{folder / LOCK_FILE} is damaged: it should hold the format version of {folder}, a number. If this "
            "version of headrace wrote the folder, delete the file"
        )
    found = int(text or _FIRST_VERSION)
    if found > FORMAT_VERSION:
        raise AgentError(
            f"{folder} was used by a newer headrace (format {found}, this one knows up to {FORMAT_VERSION}): use that "
            "version, or let it ship all that is in the folder and then give this one a fresh folder"
        )
    if found < OLDEST_VERSION:
        raise AgentError(
            f"{folder} was used by an older headrace (format {found}, this one knows {OLDEST_VERSION} to "
            f"{FORMAT_VERSION}): let that one ship all that is in the folder, then give this one a fresh folder"
        )
    if text != str(FORMAT_VERSION).encode():
        # Write first, truncate then: a crash in between must not leave an empty file, which means version 1.
        end = os.pwrite(descriptor, f"{FORMAT_VERSION}\n".encode(), 0)
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
