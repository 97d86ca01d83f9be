"""Stores each micro-batch of a job with a state in Spark, and settles it once its commit is on disk.

The order keeps what :mod:`.checkpoint_fit` relies on::

    micro-batch n            Spark writes its plan, then runs it: the new state is written
    sync the checkpoint      plan of n, commit and state of n - 1 are on disk
    settle n - 1             the bridges may delete its lines, its audit is cleared
    store n                  rows and records, one transaction
    databases, console
                             Spark commits n
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from spark_job.runner.progress import NewestBatch
from spark_job.runner.results.shape import in_shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pyspark.sql import DataFrame

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.ledger import Ledger
    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.accounting.tally import Tally
    from spark_job.runner.results.row_results import RowResults
    from spark_job.runner.results.shape import ResultShape


class ResultWriter:
    """The function that Spark calls with each micro-batch, on its callback thread, one at a time.

    Any thread may read ``newest``, ``positions``, ``tally`` and ``failure``. ``newest`` is this process's own newest
    micro-batch; positions and tally continue from the stored totals.

    Args:
        checkpoint: of the query.
        ledger: accounts for the lines.
        results: the tables and files.
        dead_letters: keeps malformed lines.
        commit: tells the bridges up to which offsets they may delete.
        now: the wall clock.
        shape: how rows are stored.
        final: whether rows count lines and never change once they are stored.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        ledger: Ledger,
        results: RowResults,
        dead_letters: DeadLetters,
        commit: Callable[[dict[str, int]], None],
        now: Callable[[], datetime],
        shape: ResultShape,
        *,
        final: bool = False,
    ) -> None:
        self._checkpoint = checkpoint
        self._ledger = ledger
        self._results = results
        self._dead_letters = dead_letters
        self._commit = commit
        self._now = now
        self._final = final
        self.shape = shape
        # Held while a batch is stored, so that a count in another thread is of the same batches as the totals.
        self._storing = Lock()
        self._settled: int | None = None
        self.newest: NewestBatch | None = None
        self.positions = results.table.positions()
        self.tally = self.final_tally()
        self.failure: Exception | None = None

    def final_tally(self) -> Tally:
        """Return the tally, counted now."""
        return self._tally(now=True)

    def _tally(self, *, now: bool) -> Tally:
        hits = self._results.counted(now=now)
        # A line that an old count lacks is open, not missing, until the next count.
        final = self.shape.output_mode == "append" or self._results.count_is_old
        return self._results.table.tally_with(hits, final=final)

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store and show one micro-batch."""
        try:
            # toArrow runs the plan, and must stay the only action on ``changed``: a second one would read the lines
            # again. The readers' audit files are complete once it returns, so the ledger entry comes after it.
            replace = self.shape.output_mode == "complete"
            # A complete result replaces all rows, so it numbers them from 0 each time. Spark's numbers of micro-batches
            # begin again with each query, those of the table do not.
            number = 0 if replace else self._results.table.next_sequence()
            rows = in_shape(changed.toArrow(), self.shape, number)
            entry = self._ledger.entry(batch_id)
            with self._storing:
                self._checkpoint.sync()
                self._settle(self._checkpoint.newest_committed())
                rows = self._results.record(entry, rows, replace=replace, final=self._final)
                tally = self._tally(now=False)
                if rows.num_rows or entry.read:
                    self._results.show(rows, tally)
                self.positions, self.tally = self._results.table.positions(), tally
            self.newest = NewestBatch(batch_id, self._now(), entry.closed_before_ms)
        except Exception as error:
            # Spark keeps only its text; the job reports the error itself.
            self.failure = error
            raise

    def refresh(self) -> None:
        """Do for the newest batch what the next one would do: count its lines, settle it; for another thread.

        Raises:
            SparkJobError: the class says what failed.
        """
        # A batch that is being stored does the same itself.
        if self._storing.acquire(blocking=False):
            try:
                self.settle()
                if self._results.count_is_old:
                    self.tally = self._tally(now=False)
            finally:
                self._storing.release()

    def settle(self) -> None:
        """Put the newest commit on disk, and let go on everything that waits for that.

        Raises:
            SparkJobError: the class says what failed.
        """
        # Asked before the sync: Spark may commit another micro-batch meanwhile, and that one is not on disk.
        committed = self._checkpoint.newest_committed()
        if committed != self._settled:
            self._checkpoint.sync()
            self._settle(committed)

    def _settle(self, committed: int | None) -> None:
        """Tell the bridges of a commit that is on disk, and keep the dead letters of its audit."""
        if committed is None or committed == self._settled:
            return
        newest = self._results.table.newest_stored()
        if newest is not None and newest.batch_id == committed:
            self._results.table.settle()
        ends = self._checkpoint.planned(committed).ends
        dropped = self._dead_letters.clear_audit(ends)
        if dropped:
            self._results.table.add_dropped_dead_letters(dropped)
        self._commit(ends)
        self._settled = committed
