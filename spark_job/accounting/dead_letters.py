"""Keeps the dead letters of stored micro-batches, and deletes the rest of their audit files.

::

    audit/<log id>/<batch start>-<batch end>/<start>-<end>.json                 in the table now: deleted
    audit/<log id>/<batch start>-<batch end>/<start>-<end>.malformed.jsonl      moved to
    dead-letters/<log id>/<start>-<end>.malformed.jsonl                         for the operator, who may delete it

A micro-batch is committed when Spark's commit log has it. Until then it may run again, and its readers write the audit
again. Dead letters are text that strangers sent, so their total size is bounded: what does not fit is deleted, and
counted.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from spark_job.accounting.audit_file import DEAD_LETTERS_SUFFIX
from spark_job.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_MAX_BYTES: Final = 256 * 1024 * 1024


class DeadLetters:
    """Moves dead letters out of the audit folder, and deletes the rest of it, behind the query.

    Args:
        audit: the folder that the source got as its option ``audit``.
        folder: where dead letters are kept.
        max_bytes: their largest total size.

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

    def clear_audit(self, committed: dict[str, int]) -> int:
        """Clear the audit of all micro-batches up to ``committed`` (log id to offset).

        Returns:
            How many dead letters were deleted because they did not fit.

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

    def drop_audit(self) -> None:
        """Delete the audit of micro-batches that were never stored: their lines are read again, by other tasks.

        Raises:
            SinkError: a file cannot be deleted.
        """
        try:
            for log in self._audit.iterdir():
                if log.is_dir():
                    shutil.rmtree(log)
        except OSError as error:
            raise SinkError(f"{error.filename}: cannot be deleted: {error.strerror}") from error

    def _keep(self, letters: Path, log_id: str) -> int:
        """Move one file to where it is kept, or delete it; return how many lines were deleted."""
        target = self._folder / log_id / letters.name
        size = letters.stat().st_size
        # A micro-batch that ran again replaces its own dead letters: count only what the folder grows by.
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
