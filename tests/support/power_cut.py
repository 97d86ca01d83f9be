"""What a power cut may do to the checkpoint of a job with a state: whatever was not synced is gone, empty or cut."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    import pytest


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leave a file without bytes."""
    path.write_bytes(b"")


def unlink(path: Path) -> None:
    """Delete a file."""
    path.unlink()


HARMS: tuple[Callable[[Path], None], ...] = (truncate, empty, unlink)


class Synced:
    """Remembers in which state each file was synced by this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._states: dict[Path, tuple[int, int]] = {}
        real = os.fsync

        def sync(descriptor: int) -> None:
            real(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            self._states[path] = _state_of(path)

        monkeypatch.setattr(os, "fsync", sync)

    def holds(self, path: Path) -> bool:
        """Say whether a file is on disk as it is now."""
        return self._states.get(path) == _state_of(path)


def _state_of(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def newest_stored(job: Path) -> tuple[int, bool] | None:
    """Return the number of the newest micro-batch in the table, and whether its commit is known to be on disk.

    The query may have ended inside a later one.
    """
    with closing(sqlite3.connect(job / "counts.db")) as database:
        found = database.execute(
            "SELECT batch_id, sequence < settled_sequence FROM batches, table_state ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
    return None if found is None else (int(found[0]), bool(found[1]))


def harm_what_is_not_synced(job: Path, dice: random.Random, synced: Synced) -> None:
    """Harm most files of the checkpoint that this process has not synced, and delete the audit."""
    for path in [*(job / "checkpoint").rglob("*")]:
        if path.is_file() and not synced.holds(path) and dice.random() < 0.8:
            dice.choice(HARMS)(path)
    shutil.rmtree(job / "audit")


def cut_power(job: Path, dice: random.Random) -> None:
    """Harm most files of the checkpoint that the job, another process, cannot have synced, and delete the audit.

    The checkpoint was synced before the newest micro-batch was stored. After that come its commit and its state, unless
    the table knows that they were synced too, and the plan of the next micro-batch with all that follows.
    """
    found = newest_stored(job)
    if found is None:
        return
    newest, settled = found
    first = newest + 1 if settled else newest
    for path in [*(job / "checkpoint").rglob("*")]:
        number = path.name.lstrip(".").partition(".")[0]
        if not path.is_file() or not number.isdecimal():
            continue
        # The state after micro-batch n has the number n + 1.
        from_here = {"commits": first, "offsets": newest + 1}.get(path.parent.name, first + 1)
        if int(number) >= from_here and dice.random() < 0.8:
            dice.choice(HARMS)(path)
    shutil.rmtree(job / "audit")
