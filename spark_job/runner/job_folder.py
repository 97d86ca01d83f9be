"""The folder in which a job keeps everything, and what has to hold before the job may go on in it.

::

    settings.json     what the counts mean; a job with other settings is refused
    lock              held by the running job
    format.json       which versions may go on in the folder   execution/versions.py
    checkpoint/       Spark's
    counts.db         the table of results                     sinks/table.py
    books.json        the sums of a job whose table knows none   execution/books.py
    audit/            the readers' numbers, until stored       dead_letters.py
    dead-letters/     malformed lines
    progress.json     how the running job is doing             execution/progress.py
    tally.json        the sum, written when the job ends
    spark.log         warnings and errors of Spark             session.py
    java.log          what Java and its Python workers print   session.py
    python.log        what libraries of the job itself print
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from headrace.common.files import replacing
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.errors import JobFolderError, SparkJobError, sink_errors
from spark_job.runner.folder_format import check_versions
from spark_job.runner.progress import write_progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stored(Protocol):
    """What a folder's results say of the query that they belong to."""

    @property
    def path(self) -> Path:
        """The file."""

    def owner(self) -> str | None:
        """Return the id of the query; None before its first batch."""

    def newest_batch(self) -> int | None:
        """Return the number of the newest batch; None before the first."""


class JobFolder:
    """The places below one job folder; the folder is made when it is not there.

    Raises:
        JobFolderError: it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.audit = self.root / "audit"
        self.dead_letters = self.root / "dead-letters"
        self.counts = self.root / "counts.db"
        self.progress = self.root / "progress.json"
        self.tally = self.root / "tally.json"
        self.books = self.root / "books.json"
        self.settings = self.root / "settings.json"
        self.python_log = self.root / "python.log"
        self.checkpoint = Checkpoint(self.root / "checkpoint")
        try:
            self.audit.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobFolderError(f"{self.root}: cannot be made: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other jobs, and programs that do not know its format, out of the folder.

        The lock ends with the process, however it ends.

        Raises:
            JobFolderError: another job runs in it, or it is another version's.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JobFolderError(f"{self.root}: another job is running in this folder") from None
            check_versions(self.root)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def claimed(self, fingerprint: dict[str, str]) -> Iterator[None]:
        """Hold the folder for a job, and tell in its progress file how the job begins and, should it fail, why.

        What libraries write to standard error in the block goes to ``python.log``: threads of pyspark print traces
        when Java dies, and the job has one line to say about that.

        Raises:
            JobFolderError: another job runs in it, or it was made with other settings.
        """
        with self.locked():
            self.claim(fingerprint)
            write_progress(self.progress, "starting", datetime.now(UTC))
            try:
                with self.python_log.open("w", buffering=1) as log, redirect_stderr(log):
                    yield
            except SparkJobError as error:
                write_progress(self.progress, "failed", datetime.now(UTC), error=str(error))
                raise

    def claim(self, fingerprint: dict[str, str]) -> None:
        """Record what the counts of this folder mean, or compare it with what is recorded.

        Raises:
            JobFolderError: the folder was made with other settings.
        """
        try:
            made_with = json.loads(self.settings.read_bytes())
        except FileNotFoundError:
            with sink_errors(self.settings), replacing(self.settings) as file:
                file.write(json.dumps(fingerprint, indent=2, sort_keys=True).encode())
            return
        except ValueError:
            raise JobFolderError(f"{self.settings}: damaged; take a new folder") from None
        changed = [
            f"{name} was {made_with.get(name)!r} and is {fingerprint.get(name)!r}"
            for name in sorted(made_with.keys() | fingerprint.keys())
            if made_with.get(name) != fingerprint.get(name)
        ]
        if changed:
            raise JobFolderError(
                f"{self.root} holds counts made with other settings: {'; '.join(changed)}. Go back to the old "
                "settings, or take another job folder and, to count again what the bridges keep, another consumer name"
            )

    def check(self, table: Stored) -> None:
        """Compare the table with Spark's checkpoint: they are only of use together.

        Raises:
            JobFolderError: one of them is missing or from another time, so that counts would come out wrong.
        """
        query_id, owner = self.checkpoint.query_id(), table.owner()
        committed, newest = self.checkpoint.newest_committed(), table.newest_batch()
        if owner is not None and owner != query_id:
            raise JobFolderError(
                f"{table.path} holds the counts of query {owner}, whose checkpoint {self.checkpoint.folder} is gone or "
                f"another's; take a new job folder and consumer name to count again"
            )
        if committed is not None and (newest is None or newest < committed):
            raise JobFolderError(
                f"{table.path} ends at batch {newest}, the checkpoint at {committed}: counts are missing from the "
                "table; was it replaced by an older copy? Take a new job folder and consumer name to count again"
            )
