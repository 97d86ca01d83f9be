"""What becomes of the audit files once their batch is stored for good: numbers are deleted, dead letters are kept.

::

    audit/<log id>/<batch start>-<batch end>/<start>-<end>.json                 in the table now: deleted
    audit/<log id>/<batch start>-<batch end>/<start>-<end>.malformed.jsonl      moved to
    dead-letters/<log id>/<start>-<end>.malformed.jsonl                         for the operator, who may delete it

"For good" means that Spark's commit log has the batch. Until then it may run again, and its readers write the audit
anew. Dead letters are what strangers sent, so their size is bounded: what does not fit is deleted, and counted.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from spark_job.accounting.audit_file import DEAD_LETTERS_SUFFIX
from spark_job.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_MAX_BYTES = 256 * 1024 * 1024


class DeadLetters:
    """Clears the audit folder behind the query.

    Args:
        audit: the folder that the source was given as its option ``audit``.
        folder: where dead letters are kept.
        max_bytes: how much of them is kept.

    Raises:
        SinkError: a folder cannot be made.
    """

    def __init__(self, audit: Path, folder: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._audit = audit
        self._folder = folder
        self._max_bytes = max_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot be made: {error.strerror}") from error
        self._used_bytes = sum(path.stat().st_size for path in folder.rglob(f"*{DEAD_LETTERS_SUFFIX}"))

    def settle(self, committed: dict[str, int]) -> int:
        """Clear the audit of all batches up to ``committed`` (log id to offset); return how many lines did not fit.

        Raises:
            SinkError: a file cannot be moved or deleted.
        """
        dropped = 0
        try:
            for log_id, offset in committed.items():
                for batch in (self._audit / log_id).glob("*-*"):
                    if int(batch.name.rpartition("-")[2]) <= offset:
                        dropped += sum(
                            self._keep(letters, log_id) for letters in sorted(batch.glob(f"*{DEAD_LETTERS_SUFFIX}"))
                        )
                        shutil.rmtree(batch)
        except OSError as error:
            raise SinkError(f"{error.filename}: dead letters cannot be kept: {error.strerror}") from error
        return dropped

    def _keep(self, letters: Path, log_id: str) -> int:
        """Move one file to where it is kept, or delete it; return how many lines were deleted."""
        target = self._folder / log_id / letters.name
        size = letters.stat().st_size
        freed = target.stat().st_size if target.exists() else 0
        if self._used_bytes - freed + size > self._max_bytes:
            with letters.open("rb") as file:
                lines = sum(1 for _ in file)
            letters.unlink()
            return lines
        target.parent.mkdir(exist_ok=True)
        letters.replace(target)
        self._used_bytes += size - freed
        return 0
