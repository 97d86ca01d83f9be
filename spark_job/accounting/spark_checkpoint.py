"""Reads from Spark's checkpoint folder which micro-batches of a query are planned and committed.

::

    metadata      {"id": "<query id>"}                        written once; a new checkpoint is a new query
    offsets/<n>   v1                                          written before micro-batch n runs: its plan
                  {"batchWatermarkMs": t, ...}                the watermark when micro-batch n starts
                  {"<log id>": next offset, ...}              one line for each source: where micro-batch n ends
    commits/<n>   v1 ...                                      written after micro-batch n ran, sinks included

Spark syncs none of these files, nor those of the state, so a power cut may take away any of them that
:meth:`Checkpoint.sync` has not put on disk.

This is the format of Spark 4.3.0, whose classes ``OffsetSeqLog`` and ``CommitLog`` write it. A micro-batch that has a
plan and no commit runs again, over the same range, when the query starts. Spark deletes old entries, but keeps at least
those of the two newest micro-batches, and this module needs no others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from spark_job.accounting.spark_checksums import files_with_sums, is_intact
from spark_job.errors import AccountingError, JobFolderError

OFFSETS_VERSION = COMMITS_VERSION = "v1"
NO_OFFSET = "-"
CLOCK_TOLERANCE_S = 2.0
"""How coarse the times of files may be."""


@dataclass(frozen=True)
class PlannedBatch:
    """The plan of a micro-batch: the watermark when it starts, and the offset of each log where it ends."""

    watermark_ms: int
    ends: dict[str, int]


class Checkpoint:
    """Reads the checkpoint folder of a query with a source, syncs it, or deletes parts of it. Writes nothing to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._synced_until_s = 0.0

    def query_id(self) -> str | None:
        """Return the id of the query that owns the checkpoint; None if no query has started yet.

        Raises:
            AccountingError: the file is damaged, or is not Spark's.
        """
        try:
            return str(json.loads((self.folder / "metadata").read_text())["id"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise AccountingError(f"{self.folder / 'metadata'}: no query id in it; is it Spark's?") from None

    def planned(self, batch_id: int) -> PlannedBatch:
        """Return the plan of a micro-batch that is running or has run.

        Raises:
            AccountingError: the file is gone, or is not in the format of Spark 4.3.
        """
        path = self.folder / "offsets" / str(batch_id)
        try:
            return _read_plan(path.read_text())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise AccountingError(f"{path}: cannot read which events micro-batch {batch_id} holds: {error}") from None

    def newest_committed(self) -> int | None:
        """Return the number of the newest micro-batch that Spark will not run again; None before the first commit."""
        names = (path.name for path in (self.folder / "commits").glob("[0-9]*"))
        return max((int(name) for name in names if name.isdecimal()), default=None)

    def is_committed(self, batch_id: int) -> bool:
        """Say whether a micro-batch has an entry in the commit log that Spark can read."""
        try:
            version, *lines = (self.folder / "commits" / str(batch_id)).read_text().splitlines()
            return version == COMMITS_VERSION and all(json.loads(line) is not None for line in lines)
        except (OSError, ValueError):
            return False

    def damaged(self, batch_id: int, *, committed: bool) -> str:
        """Return the name of a damaged file that Spark needs to go on from a micro-batch; empty if there is none.

        Args:
            batch_id: the micro-batch.
            committed: whether Spark goes on behind it; otherwise it runs it again, and needs the state before it.
        """
        needed = {("metadata",), ("offsets", str(batch_id))}
        needed |= {("offsets", str(batch_id - 1))} if batch_id else set()
        newest = batch_id if committed else batch_id - 1
        needed |= {("commits", str(newest))} if newest >= 0 else set()
        for path in files_with_sums(self.folder):
            parts = path.relative_to(self.folder).parts
            # The state after micro-batch 7 has version 8: its files may be damaged if nothing begins there.
            version = re.match(r"\d+", path.name)
            is_state = parts[0] == "state" and (
                int(version[0]) <= newest + 1 if version else path.parent.name[:1] == "_"
            )
            if (parts in needed or is_state) and not is_intact(path):
                return str(path)
        return ""

    def sync(self) -> None:
        """Wait until all that Spark has written is on disk; files that were synced before cost nothing.

        Raises:
            JobFolderError: a file cannot be synced.
        """
        started_s = time.time()
        try:
            for root, _, names in os.walk(self.folder):
                for name in (*names, ""):
                    self._sync_if_new(Path(root, name))
        except OSError as error:
            raise JobFolderError(f"{error.filename or self.folder}: cannot be synced: {error.strerror}") from error
        # A file that changes within this time of the walk is synced again by the next one.
        self._synced_until_s = started_s - CLOCK_TOLERANCE_S

    def _sync_if_new(self, path: Path) -> None:
        try:
            # The time of the change, not of the content: Spark writes files under another name first.
            if path.stat().st_ctime < self._synced_until_s:
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # Spark deletes what it no longer needs while this runs.
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def forget_after(self, batch_id: int, *, its_commit: bool) -> None:
        """Delete plans, commits and states of all later micro-batches, so that Spark goes on from this one.

        Args:
            batch_id: the newest micro-batch that stays planned.
            its_commit: delete its commit and its state too: then Spark runs it again.

        Raises:
            JobFolderError: a file cannot be deleted.
        """
        newest = batch_id - 1 if its_commit else batch_id
        kept = {"offsets": batch_id, "commits": newest, "state": newest + 1}
        for log, last in kept.items():
            # Each file has a hidden one with its checksums, which must go along: Hadoop leaves the old checksums beside
            # a file that it replaces.
            for path in (self.folder / log).rglob("*"):
                number = re.match(r"\.?(\d+)(\.\w+)*$", path.name)
                described = any(part.startswith("_") for part in path.relative_to(self.folder).parts)
                if number and not described and path.is_file() and int(number[1]) > last:
                    try:
                        path.unlink()
                    except OSError as error:
                        raise JobFolderError(f"{path}: cannot be deleted: {error.strerror}") from error

    def delete(self) -> None:
        """Delete the checkpoint, so that the next query is a new one.

        Raises:
            JobFolderError: a file cannot be deleted.
        """
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise JobFolderError(f"{error.filename}: cannot be deleted: {error.strerror}") from error


def _read_plan(text: str) -> PlannedBatch:
    version, metadata, *sources = text.splitlines()
    if version != OFFSETS_VERSION:
        raise ValueError(f"format {version[:20]!r} instead of {OFFSETS_VERSION}")
    if len(sources) != 1:
        raise ValueError(f"{len(sources)} sources instead of one")
    ends = {} if sources[0] == NO_OFFSET else json.loads(sources[0])
    return PlannedBatch(
        watermark_ms=int(json.loads(metadata)["batchWatermarkMs"]),
        ends={str(log_id): int(end) for log_id, end in ends.items()},
    )
