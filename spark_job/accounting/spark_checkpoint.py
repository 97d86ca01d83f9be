"""Reads from Spark's checkpoint folder which micro-batches of a query are planned and committed.

::

    metadata      {"id": "<query id>"}                        written once; a new checkpoint is a new query
    offsets/<n>   v1                                          written before micro-batch n runs: its plan
                  {"batchWatermarkMs": t, ...}                the watermark when micro-batch n starts
                  {"<log id>": next offset, ...}              one line for each source: where micro-batch n ends
    commits/<n>   v1 ...                                      written after micro-batch n ran, sinks included

This is the format of Spark 4.3.0, whose classes ``OffsetSeqLog`` and ``CommitLog`` write it. A micro-batch that has a
plan and no commit runs again, over the same range, when the query starts. Spark deletes old entries, but keeps at least
those of the two newest micro-batches, and this module needs no others.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.errors import AccountingError, JobFolderError

if TYPE_CHECKING:
    from pathlib import Path

OFFSETS_VERSION = "v1"
NO_OFFSET = "-"


@dataclass(frozen=True)
class PlannedBatch:
    """The plan of a micro-batch: the watermark when it starts, and the offset of each log where it ends."""

    watermark_ms: int
    ends: dict[str, int]


class Checkpoint:
    """Reads the checkpoint folder of a query with one source, or deletes it; writes nothing to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
