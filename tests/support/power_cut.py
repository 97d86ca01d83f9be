"""What a power cut may do to the checkpoint of a job with a state: whatever was not synced is gone, empty or cut."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leave a file without bytes."""
    path.write_bytes(b"")


def unlink(path: Path) -> None:
    """Delete a file."""
    path.unlink()


def newest_stored(job: Path) -> tuple[int, bool] | None:
    """Return the number of the newest micro-batch in the table, and whether its commit is known to be on disk.

    The query may have ended inside a later one.
    """
    with closing(sqlite3.connect(job / "counts.db")) as database:
        found = database.execute(
            "SELECT batch_id, sequence < settled_sequence FROM batches, table_state ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
    return None if found is None else (int(found[0]), bool(found[1]))


def cut_power(job: Path, dice: random.Random) -> None:
    """Harm most files of the checkpoint that nobody synced, and delete the audit.

    The checkpoint was synced before the newest micro-batch was stored. After that come its commit and its state, unless
    the table knows that they were synced too, and the plan of the next micro-batch with all that follows.
    """
    found = newest_stored(job)
    if found is None:
        return
    newest, settled = found
    first = newest + 1 if settled else newest
    harms: list[Callable[[Path], None]] = [truncate, empty, unlink]
    for path in [*(job / "checkpoint").rglob("*")]:
        number = path.name.lstrip(".").partition(".")[0]
        if not path.is_file() or not number.isdecimal():
            continue
        # The state after micro-batch n has the number n + 1.
        from_here = {"commits": first, "offsets": newest + 1}.get(path.parent.name, first + 1)
        if int(number) >= from_here and dice.random() < 0.8:
            dice.choice(harms)(path)
    shutil.rmtree(job / "audit")
