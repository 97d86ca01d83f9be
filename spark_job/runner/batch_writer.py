"""Stores each micro-batch of a structured job: results table, bridges, sinks.

The order matters. The plan runs first, because only a finished plan leaves a complete audit. The ledger reads that
audit and refuses a batch whose lines do not add up. The table stores rows and entry in one transaction. Lines are
released when no start can read them again (:mod:`.release`). Sinks come last: they copy from the table, so a kill
before them only makes them late.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from spark_job.runner.progress import NewestBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pyspark.sql import DataFrame

    from spark_job.accounting.ledger import Ledger
    from spark_job.accounting.tally import Tally
    from spark_job.runner.release import Release
    from spark_job.runner.results.row_results import RowResults
    from spark_job.runner.results.url_counts import UrlCountResults


class BatchWriter:
    """The function that Spark calls with each micro-batch, on its callback thread, one batch at a time.

    Any thread may read ``newest``, ``positions``, ``tally`` and ``failure``. ``newest`` is this process's own newest
    batch; positions and tally continue from the table.

    Args:
        rows: makes the rows to store of what Spark hands over.
        ledger: accounts for the lines.
        results: the table, and what is written from it.
        release: lets the bridges delete lines.
        now: the wall clock.
    """

    def __init__(
        self,
        rows: Callable[[DataFrame], DataFrame],
        ledger: Ledger,
        results: RowResults | UrlCountResults,
        release: Release,
        now: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._ledger = ledger
        self._results = results
        self._release = release
        self._now = now
        # Held while a batch is stored, so that a count in another thread is of the same batches as the totals.
        self._storing = Lock()
        self.newest: NewestBatch | None = None
        self.positions = results.table.positions()
        self.tally = results.tally(now=True)
        self.failure: Exception | None = None

    def __call__(self, lines: DataFrame, batch_id: int) -> None:
        """Store and show one micro-batch."""
        try:
            # The one action on the lines: another would read them again, and their audit would not balance.
            rows = self._rows(lines).toArrow()
            with self._storing:
                entry = self._ledger.entry(batch_id)
                self._release.before_a_batch_is_stored()
                show = self._results.record(entry, rows)
                positions, tally = self._results.table.positions(), self._results.tally()
                self._release.after_a_batch_is_stored(positions)
                show(tally)
                # Whoever sees these may end the run, so they follow the sinks.
                self.positions, self.tally = positions, tally
            self.newest = NewestBatch(batch_id, self._now(), entry.closed_before_ms)
        except Exception as error:
            # Spark keeps only its text; the job reports the error itself.
            self.failure = error
            raise

    def refresh(self) -> None:
        """Do for the newest batch what the next one would do: release it, count its lines; for another thread.

        Raises:
            SparkJobError: the class says what failed.
        """
        # A batch that is being stored does the same itself.
        if self._storing.acquire(blocking=False):
            try:
                self._release.when_idle()
                if self._results.count_is_old:
                    self.tally = self._results.tally()
            finally:
                self._storing.release()

    def finish(self) -> Tally:
        """Release the last batch, and return the terms of the sum, counted now; for the end of a run.

        Raises:
            SparkJobError: the class says what failed.
        """
        with self._storing:
            self._release.when_idle()
            self.tally = self._results.tally(now=True)
        return self.tally
