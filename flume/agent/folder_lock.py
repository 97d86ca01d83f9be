"""One agent for one spool folder and one file channel.

Two agents on one of them ship lines twice and damage the channel. Flume's own lock does not prevent it: it tries the
lock a second time through another descriptor, and closing that one gives up the first (POSIX record locks belong to the
process, not to the descriptor), so on Linux nothing is locked while the log says nothing.

The claim here is an flock on a file of the folder. It belongs to the open file, which the agent inherits: it is held
until the last of launcher and agent has ended, however they end, and an agent that outlives its launcher keeps others
away.

The file holds the format of what lies in the folder (a channel's events, how far a file was read), a decimal number and
a line feed. Nothing in it means the first format: folders were claimed before there was a number.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from flume.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

# With a dot in front it is never read as a log.
LOCK_FILE = ".headrace.lock"
FORMAT_VERSION: Final = 1
OLDEST_VERSION: Final = 1
_FIRST_VERSION: Final = 1
_MAX_NUMBER_BYTES: Final = 20
_RETRY_S = 0.1


def claim(
    folders: Sequence[Path], timeout_s: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> tuple[int, ...]:
    """Claim folders, waiting for an agent that is about to end; returns descriptors to inherit and then to close.

    Raises:
        AgentError: another agent holds one of them, the lock's file cannot be made, or the folder is of a version that
            this program does not know.
    """
    held: list[int] = []
    deadline = clock() + timeout_s
    try:
        for folder in folders:
            held.append(os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            while not _try_lock(held[-1]):
                _refuse_after(deadline, clock, folder)
                sleep(_RETRY_S)
            _check_version(held[-1], folder)
    except OSError as error:
        release(held)
        raise AgentError(f"{error.filename}: cannot be claimed: {error.strerror}") from error
    except BaseException:
        release(held)
        raise
    return tuple(held)


def release(held: Iterable[int]) -> None:
    """Close this process's descriptors; the claim lives on while an agent has inherited them."""
    for descriptor in held:
        os.close(descriptor)


def _refuse_after(deadline: float, clock: Callable[[], float], folder: Path) -> None:
    if clock() >= deadline:
        raise AgentError(f"another agent is at work on {folder}: stop it first, two would ship lines twice")


def _check_version(descriptor: int, folder: Path) -> None:
    """Refuse a folder of another version; the file becomes one of this version. The lock must be held."""
    text = os.pread(descriptor, _MAX_NUMBER_BYTES, 0).strip()
    if text and not text.isdigit():
        raise AgentError(f"{folder / LOCK_FILE} is damaged: nobody can tell which version the folder is of")
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
        # Before cutting off what may follow: a file cut to nothing would be of the first format.
        end = os.pwrite(descriptor, f"{FORMAT_VERSION}\n".encode(), 0)
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
