"""Releases lines whose results are stored: the bridges may delete them, their dead letters are kept.

A line may be released once no start of the job can read it again::

    results are the only state   a start reads from the table's positions: released as soon as the batch is stored
    Spark has a state            a start may run the newest batch again, from the state before it: released once
                                 Spark's commit of the batch is on disk, too

The order of the second case keeps what :mod:`spark_job.runner.structured.checkpoint_fit` relies on::

    micro-batch n            Spark writes its plan, then runs it: the new state is written
    sync the checkpoint      plan of n, commit and state of n - 1 are on disk
    release n - 1
    store n                  rows and records, one transaction
    databases, console
                             Spark commits n
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.runner.results.embedded_table import EmbeddedTable
    from spark_job.sinks.counts_table.writer import CountsTable


class Release:
    """Releases lines; the subclasses say when.

    Args:
        table: the results table.
        dead_letters: keeps malformed lines.
        commit: tells the bridges up to which offsets they may delete.
    """

    def __init__(
        self, table: EmbeddedTable | CountsTable, dead_letters: DeadLetters, commit: Callable[[dict[str, int]], None]
    ) -> None:
        self._table = table
        self._dead_letters = dead_letters
        self._commit = commit

    def before_a_batch_is_stored(self) -> None:
        """Do what must come before the transaction of a batch."""

    def after_a_batch_is_stored(self, positions: dict[str, int]) -> None:
        """Do what follows the transaction, which has brought the table to these offsets."""

    def when_idle(self) -> None:
        """Do for the newest batch what the next one would do; called again and again.

        Raises:
            SparkJobError: the class says what failed.
        """

    def release(self, ends: dict[str, int]) -> None:
        """Keep the dead letters of the lines up to ``ends``, delete the rest of their audit, tell the bridges."""
        dropped = self._dead_letters.clear_audit(ends)
        if dropped:
            self._table.add_dropped_dead_letters(dropped)
        self._commit(ends)


class ReleaseAtOnce(Release):
    """Releases each batch as soon as it is stored."""

    def after_a_batch_is_stored(self, positions: dict[str, int]) -> None:
        """Release the lines up to the offsets that the table has reached."""
        self.release(positions)


class ReleaseAfterCommit(Release):
    """Releases each batch once Spark's commit of it is on disk.

    Args:
        checkpoint: of the query.
        table: records which batch is the newest one whose commit is on disk.
        dead_letters: keeps malformed lines.
        commit: tells the bridges up to which offsets they may delete.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        table: EmbeddedTable,
        dead_letters: DeadLetters,
        commit: Callable[[dict[str, int]], None],
    ) -> None:
        super().__init__(table, dead_letters, commit)
        self._checkpoint = checkpoint
        self._records = table
        self._released: int | None = None

    def before_a_batch_is_stored(self) -> None:
        """Put the checkpoint on disk, and release the batch before."""
        self._checkpoint.sync()
        self._release_batch(self._checkpoint.newest_committed())

    def when_idle(self) -> None:
        """Put the newest commit on disk, and release its batch.

        Raises:
            SparkJobError: the class says what failed.
        """
        # Asked before the sync: Spark may commit another micro-batch meanwhile, and that one is not on disk.
        committed = self._checkpoint.newest_committed()
        if committed != self._released:
            self._checkpoint.sync()
            self._release_batch(committed)

    def _release_batch(self, committed: int | None) -> None:
        if committed is None or committed == self._released:
            return
        newest = self._records.newest_stored()
        if newest is not None and newest.batch_id == committed:
            self._records.settle()
        self.release(self._checkpoint.planned(committed).ends)
        self._released = committed
