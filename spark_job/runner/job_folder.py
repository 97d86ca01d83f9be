"""The folder in which a job keeps everything, and the checks before a job may continue in it.

::

    settings.json     what the counts mean; a job with other settings is refused
    lock              held by the running job
    format.json       versions that may continue in the folder       runner/folder_format.py
    checkpoint/       Spark's own state
    counts.db         the results table                              sinks/counts_table, sinks/database
    books.json        line totals, of a version before               accounting/totals_file.py
    audit/            what the readers counted, until it is stored   accounting/audit_file.py
    dead-letters/     malformed lines                                accounting/dead_letters.py
    progress.json     state of the running job                       runner/progress.py
    tally.json        the terms of the sum, when the job ends
    spark.log         warnings and errors of Spark                   runner/session.py
    java.log          output of Java and its Python workers          runner/session.py
    python.log        output of the job's own libraries
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any

from headrace.common.files import replace_file, try_lock
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.errors import JobFolderError, SparkJobError, sink_errors
from spark_job.runner.folder_format import check_versions
from spark_job.runner.progress import write_progress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


class JobFolder:
    """The paths below one job folder, which is created if it is missing.

    Attributes:
        checkpoint_problem: why Spark cannot read the checkpoint, once the folder is claimed; empty if it can.

    Raises:
        JobFolderError: it cannot be created.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.audit = self.root / "audit"
        self.dead_letters = self.root / "dead-letters"
        self.counts = self.root / "counts.db"
        self.progress = self.root / "progress.json"
        self.tally = self.root / "tally.json"
        self.totals = self.root / "books.json"
        self.settings = self.root / "settings.json"
        self.python_log = self.root / "python.log"
        self.checkpoint = Checkpoint(self.root / "checkpoint")
        self.checkpoint_problem = ""
        try:
            self.audit.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobFolderError(f"{self.root}: cannot be made: {error.strerror}") from error

    @contextmanager
    def locked(self, *, checkpoint: bool = True) -> Iterator[None]:
        """Keep other jobs, and versions that do not know its format, out of the folder.

        The kernel releases the lock when the process ends, however it ends.

        Raises:
            JobFolderError: another job runs in it, or another version made it.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not try_lock(descriptor):
                raise JobFolderError(f"{self.root}: another job is running in this folder; stop it first")
            self.checkpoint_problem = check_versions(self.root, checkpoint=checkpoint)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def claimed(
        self, fingerprint: dict[str, str], *, checkpoint: bool = True, removed: Collection[str] = ()
    ) -> Iterator[None]:
        """Hold the folder for a job; write to its progress file that the job starts and, if it fails, why.

        Inside the block, standard error goes to ``python.log``: threads of pyspark print traces when Java dies, and
        the job reports that in one line.

        Args:
            fingerprint: what decides what the results mean.
            checkpoint: whether the job cannot do without Spark's checkpoint.
            removed: options that earlier versions had, and that mean nothing any more.

        Raises:
            JobFolderError: another job runs in it, or it was made with other settings.
        """
        with self.locked(checkpoint=checkpoint):
            self.claim(fingerprint, removed)
            write_progress(self.progress, "starting")
            try:
                with self.python_log.open("w", buffering=1) as log, redirect_stderr(log):
                    yield
            except SparkJobError as error:
                write_progress(self.progress, "failed", error=str(error), retry=error.retry)
                raise

    def claim(self, fingerprint: dict[str, str], removed: Collection[str] = ()) -> None:
        """Record the settings that decide what the counts mean, or compare them with the recorded ones.

        Args:
            fingerprint: the settings.
            removed: recorded settings that are left out of the comparison.

        Raises:
            JobFolderError: the folder was made with other settings.
        """
        try:
            made_with = json.loads(self.settings.read_bytes())
        except FileNotFoundError:
            with sink_errors(self.settings):
                replace_file(self.settings, json.dumps(fingerprint, indent=2, sort_keys=True).encode())
            return
        except ValueError:
            raise JobFolderError(f"{self.settings}: damaged; use a new job folder") from None
        changed = [
            f"{name} was {made_with.get(name)!r} and is {fingerprint.get(name)!r}"
            for name in sorted((made_with.keys() - set(removed)) | fingerprint.keys())
            if made_with.get(name) != fingerprint.get(name)
        ]
        if changed:
            raise JobFolderError(
                f"{self.root} holds counts made with other settings: {'; '.join(changed)}. Go back to the old "
                "settings; or start afresh with another --state folder (with python -m spark_job: another "
                "--job-folder, and another --consumer to count again what the bridges keep)"
            )

    def write_tally(self, fields: dict[str, Any]) -> None:
        """Write ``tally.json``.

        Raises:
            SinkError: it cannot be written.
        """
        with sink_errors(self.tally):
            replace_file(self.tally, json.dumps(fields, indent=2).encode())
