"""Stores each micro-batch of URL counts: ledger entry, results table, sinks, then the cleanup of committed audit files.

The order matters. The plan runs first, because only a finished plan leaves a complete audit. The ledger reads that
audit and refuses a micro-batch whose lines do not add up. The table stores counts and entry in one transaction. Sinks
come last: they copy from the table, so a kill before them only makes them late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.runner.progress import NewestBatch
from spark_job.sinks.base import ChangedWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pyspark.sql import DataFrame

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.ledger import Ledger
    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.writer import CountsTable


class BatchWriter:
    """The function that Spark calls with each micro-batch, on its callback thread, one at a time.

    Any thread may read ``newest``, ``positions``, ``tally`` and ``failure``. ``newest`` is this process's own newest
    micro-batch; positions and tally continue from the table.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        ledger: Ledger,
        table: CountsTable,
        sinks: Sequence[Sink],
        dead_letters: DeadLetters,
        now: Callable[[], datetime],
    ) -> None:
        self._checkpoint = checkpoint
        self._ledger = ledger
        self._table = table
        self._sinks = sinks
        self._dead_letters = dead_letters
        self._now = now
        self.newest: NewestBatch | None = None
        self.positions = table.positions()
        self.tally = table.tally()
        self.failure: Exception | None = None

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store and show one micro-batch."""
        try:
            # The one action on ``changed``: another would read the lines again, and their audit would not balance.
            rows = changed.toArrow()
            entry = self._ledger.entry(batch_id)
            windows = self._table.record(entry, rows)
            tally = self._table.tally()
            for sink in self._sinks:
                sink.write(ChangedWindows(entry, rows, windows, tally, self._table))
            self.clear_committed()
            self.positions, self.tally = self._table.positions(), tally
            self.newest = NewestBatch(batch_id, self._now(), entry.closed_before_ms)
        except Exception as error:
            # Spark keeps only its text; the job reports the error itself.
            self.failure = error
            raise

    def clear_committed(self) -> None:
        """Delete the audit files of the micro-batches that Spark has committed: it never runs those again."""
        # Spark commits this micro-batch only after we return, so the newest commit is at best the one before.
        committed = self._checkpoint.newest_committed()
        if committed is not None:
            dropped = self._dead_letters.clear_audit(self._checkpoint.planned(committed).ends)
            if dropped:
                self._table.add_dropped_dead_letters(dropped)
