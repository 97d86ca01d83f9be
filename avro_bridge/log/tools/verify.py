"""Verify: checks a log from end to end, offline or while a bridge writes it.

The checks, in this order:

1. structure: py-lmdb's offline verifier checks the pages of the file without LMDB, which could crash on a damaged page.
   Only while no bridge writes the log, since a file that changes meanwhile cannot be checked this way;
2. batches: checksums, versions, and that each one starts where the one before it ends;
3. metadata: counters, first and next offset and the consumers' offsets agree with each other and with 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lmdb import verify as lmdb_verify

from avro_bridge.errors import LogError
from avro_bridge.log.environment import DATA_FILE
from avro_bridge.log.folder_lock import is_locked
from avro_bridge.log.log import Log
from avro_bridge.log.tools.scan import DamagedRange, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from avro_bridge.log.metadata import Metadata
    from avro_bridge.log.read_only import LogView

_MOST_PROBLEMS: Final = 20
_PROGRESS_EVERY: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """The result of a check. Sizes in bytes; ``batches``, ``events`` and ``payload_bytes`` count undamaged batches."""

    folder: str
    log_id: str = ""
    first_offset: int = 0
    next_offset: int = 0
    batches: int = 0
    events: int = 0
    payload_bytes: int = 0
    damaged: tuple[DamagedRange, ...] = ()
    problems: tuple[str, ...] = ()
    """Disagreements that belong to no range of offsets, one sentence each."""
    structure_checked: bool = False
    """False when a bridge was writing the log."""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and everything agrees."""
        return not self.damaged and not self.problems


def verify(folder: Path, progress: Callable[[int, int], None] = lambda _offset, _end: None) -> VerifyReport:
    """Check the log in ``folder`` without changing it.

    ``progress`` is called every 64 batches with the offset reached and the offset at which the log ends.

    Raises:
        LogVersion: a newer program wrote it, or one that is too old.
        LogError: the log cannot be opened.
    """
    structure_checked = not is_locked(folder)
    if structure_checked:
        problems = _structure(folder)
        if problems:
            # LMDB trusts its pages: opening a damaged file could crash the process.
            return VerifyReport(folder=str(folder), problems=problems, structure_checked=True)
    with Log.open_readonly(folder) as view:
        return verify_view(view, progress, structure_checked=structure_checked)


def verify_view(
    view: LogView,
    progress: Callable[[int, int], None] = lambda _offset, _end: None,
    *,
    structure_checked: bool = False,
) -> VerifyReport:
    """Check batches and metadata of a log that is open already."""
    now = view.metadata()
    damaged = list(_missing_at_head(now))
    batches = events = payload_bytes = 0
    for found in scan(view, now.first_offset, now.next_offset):
        if isinstance(found, DamagedRange):
            damaged.append(found)
            continue
        batches += 1
        events += found.count
        payload_bytes += len(found.payload)
        if batches % _PROGRESS_EVERY == 0:
            progress(found.end_offset, now.next_offset)
    unchanged = not damaged and view.first_offset == now.first_offset
    return VerifyReport(
        folder=str(view.folder),
        log_id=now.log_id,
        first_offset=now.first_offset,
        next_offset=now.next_offset,
        batches=batches,
        events=events,
        payload_bytes=payload_bytes,
        damaged=tuple(damaged),
        problems=tuple(_disagreements(now, batches if unchanged else None)),
        structure_checked=structure_checked,
    )


def _structure(folder: Path) -> tuple[str, ...]:
    path = folder / DATA_FILE
    try:
        # The function has no annotations; it takes a path and returns sentences.
        problems: list[str] = lmdb_verify.verify(str(path))  # type: ignore[no-untyped-call]
    except (lmdb_verify.VerifyError, OSError) as error:
        raise LogError(f"log {folder}: cannot be verified: {error}") from error
    left_out = len(problems) - _MOST_PROBLEMS
    more = (f"and {left_out} more",) if left_out > 0 else ()
    return (*problems[:_MOST_PROBLEMS], *more)


def _missing_at_head(now: Metadata) -> Iterator[DamagedRange]:
    deleted = now.counters["deleted_events"]
    # Retention counts what it deletes. If the log starts behind that count, its first batches are lost.
    if deleted < now.first_offset:
        yield DamagedRange(deleted, now.first_offset - 1, "no stored batch holds them")


def _disagreements(now: Metadata, batches: int | None) -> Iterator[str]:
    """Yield each disagreement; ``batches`` is None when the number that was read cannot be compared."""
    counters = now.counters
    if counters["stored_events"] != now.next_offset:
        yield f"{counters['stored_events']} events were counted as stored, the next offset is {now.next_offset}"
    if counters["deleted_events"] > now.first_offset:
        yield f"{counters['deleted_events']} events were counted as deleted, the first offset is {now.first_offset}"
    kept = counters["stored_batches"] - counters["deleted_batches"]
    if batches is not None and batches != kept:
        yield f"{batches} batches were found, {kept} should be there"
    for name, consumer in now.consumers.items():
        if consumer.committed > now.next_offset:
            yield f"consumer {name!r} committed {consumer.committed}, the next offset is {now.next_offset}"
