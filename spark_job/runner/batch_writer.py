"""What happens with the result of one micro-batch: ledger, table, sinks, and the clearing up behind the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.sinks.base import ChangedWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pyspark.sql import DataFrame

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.ledger import Ledger, LedgerEntry
    from spark_job.accounting.spark_checkpoint import Checkpoint
    from spark_job.accounting.tally import Tally
    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.writer import CountsTable


@dataclass(frozen=True)
class Progress:
    """Where the query stands after a batch."""

    entry: LedgerEntry
    tally: Tally
    positions: dict[str, int]
    stored_at: datetime


class BatchWriter:
    """The function that Spark calls with each micro-batch, on a thread of its own, one batch at a time.

    ``last``, ``positions``, ``tally`` and ``failure`` may be read from any thread. ``last`` is of this process alone;
    positions and tally go on from what the table holds.
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
        self.last: Progress | None = None
        self._positions_at_start = table.positions()
        self._tally_at_start = table.tally()
        self.failure: Exception | None = None

    @property
    def positions(self) -> dict[str, int]:
        """Log id to the offset up to which is counted."""
        return self.last.positions if self.last is not None else self._positions_at_start

    @property
    def tally(self) -> Tally:
        """The sum over all batches that were ever stored."""
        return self.last.tally if self.last is not None else self._tally_at_start

    def __call__(self, changed: DataFrame, batch_id: int) -> None:
        """Store and show one batch. Its plan runs once, here; the audit is complete only after that."""
        try:
            rows = changed.toArrow()
            entry = self._ledger.entry(batch_id)
            windows = self._table.record(entry, rows)
            tally = self._table.tally()
            for sink in self._sinks:
                sink.write(ChangedWindows(entry, rows, windows, tally, self._table))
            self.settle()
            self.last = Progress(entry, tally, self._table.positions(), self._now())
        except Exception as error:
            # Spark turns it into a text; the job wants to say what it was.
            self.failure = error
            raise

    def settle(self) -> None:
        """Clear the audit of the batches that Spark will not run again."""
        committed = self._checkpoint.newest_committed()
        if committed is not None:
            dropped = self._dead_letters.clear_audit(self._checkpoint.planned(committed).ends)
            if dropped:
                self._table.add_dropped_dead_letters(dropped)
