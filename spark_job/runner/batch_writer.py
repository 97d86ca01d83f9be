"""Stores each micro-batch of a job whose results are sums: results table, bridges, sinks.

The order matters. The plan runs first, because only a finished plan leaves a complete audit. The ledger reads that
audit and refuses a batch whose lines do not add up. The table stores sums and entry in one transaction, which is on
disk before the bridges hear of it: they may delete the events then. Sinks come last: they copy from the table, so a
kill before them only makes them late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from spark_job.runner.progress import NewestBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.ledger import Ledger, LedgerEntry
    from spark_job.accounting.tally import Tally

Changed = TypeVar("Changed", covariant=True)
T = TypeVar("T")


class SumsTable(Protocol[Changed]):
    """A results table that adds up what each micro-batch brings; the positions are in the same transaction."""

    def record(self, entry: LedgerEntry, rows: pa.Table) -> Changed:
        """Add a micro-batch, unless it is stored already; return what changed."""

    def positions(self) -> dict[str, int]:
        """Return log id to the offset up to which the log is counted."""

    def tally(self) -> Tally:
        """Return the tally of all micro-batches stored so far."""

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines whose text was not kept."""


class BatchWriter(Generic[T]):
    """The function that Spark calls with the lines of each micro-batch, on its callback thread, one batch at a time.

    Any thread may read ``newest``, ``positions``, ``tally`` and ``failure``. ``newest`` is this process's own newest
    batch; positions and tally continue from the table.

    Args:
        sums: adds the lines of one micro-batch up, by key.
        ledger: accounts for the lines.
        table: the results.
        commit: tells the bridges up to which offsets the results are stored.
        show: copies what changed from the table into the sinks.
        tell_readers: tells the readers of the next micro-batch which lines are too old.
        dead_letters: keeps malformed lines.
        now: the wall clock.
    """

    def __init__(
        self,
        sums: Callable[[DataFrame], DataFrame],
        ledger: Ledger,
        table: SumsTable[T],
        commit: Callable[[dict[str, int]], None],
        show: Callable[[LedgerEntry, T, Tally], None],
        dead_letters: DeadLetters,
        now: Callable[[], datetime],
        tell_readers: Callable[[], None] = lambda: None,
    ) -> None:
        self._sums = sums
        self._ledger = ledger
        self._table = table
        self._commit = commit
        self._show = show
        self._dead_letters = dead_letters
        self._now = now
        self._tell_readers = tell_readers
        self.newest: NewestBatch | None = None
        self.positions = table.positions()
        self.tally = table.tally()
        self.failure: Exception | None = None
        self._tell_readers()

    def __call__(self, lines: DataFrame, batch_id: int) -> None:
        """Store and show one micro-batch."""
        try:
            # The one action on the lines: another would read them again, and their audit would not balance.
            rows = self._sums(lines).toArrow()
            entry = self._ledger.entry(batch_id)
            changed = self._table.record(entry, rows)
            self.positions, self.tally = self._table.positions(), self._table.tally()
            self.clear_audit()
            self._commit(self.positions)
            self._tell_readers()
            self._show(entry, changed, self.tally)
            self.newest = NewestBatch(batch_id, self._now())
        except Exception as error:
            # Spark keeps only its text; the job reports the error itself.
            self.failure = error
            raise

    def clear_audit(self) -> None:
        """Keep the dead letters of what the table holds, and delete the rest of its audit."""
        dropped = self._dead_letters.clear_audit(self.positions)
        if dropped:
            self._table.add_dropped_dead_letters(dropped)
