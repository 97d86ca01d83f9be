"""Stores each micro-batch of URL counts: results table, bridges, sinks.

The order matters. The plan runs first, because only a finished plan leaves a complete audit. The ledger reads that
audit and refuses a batch whose lines do not add up. The table stores sums and entry in one transaction, which is on
disk before the bridges hear of it: they may delete the events then. Sinks come last: they copy from the table, so a
kill before them only makes them late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.accounting.open_panes import write_open_from
from spark_job.runner.progress import NewestBatch
from spark_job.sinks.base import ChangedWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql import DataFrame

    from spark_job.accounting.dead_letters import DeadLetters
    from spark_job.accounting.ledger import Ledger
    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.writer import CountsTable
    from spark_job.windows import Windows


class BatchWriter:
    """The function that Spark calls with the lines of each micro-batch, on its callback thread, one batch at a time.

    Any thread may read ``newest``, ``positions``, ``tally`` and ``failure``. ``newest`` is this process's own newest
    batch; positions and tally continue from the table.

    Args:
        sums: adds the lines of one micro-batch up, by window and URL.
        windows: their windows.
        ledger: accounts for the lines.
        table: the results.
        commit: tells the bridges up to which offsets the results are stored.
        sinks: what copies from the table.
        audit: the folder that the source got as its option ``audit``.
        dead_letters: keeps malformed lines.
        now: the wall clock.
    """

    def __init__(
        self,
        sums: Callable[[DataFrame], DataFrame],
        windows: Windows,
        ledger: Ledger,
        table: CountsTable,
        commit: Callable[[dict[str, int]], None],
        sinks: Sequence[Sink],
        audit: Path,
        dead_letters: DeadLetters,
        now: Callable[[], datetime],
    ) -> None:
        self._sums = sums
        self._windows = windows
        self._ledger = ledger
        self._table = table
        self._commit = commit
        self._sinks = sinks
        self._audit = audit
        self._dead_letters = dead_letters
        self._now = now
        self.newest: NewestBatch | None = None
        self.positions = table.positions()
        self.tally = table.tally()
        self.failure: Exception | None = None
        self.tell_readers()

    def __call__(self, lines: DataFrame, batch_id: int) -> None:
        """Store and show one micro-batch."""
        try:
            # The one action on the lines: another would read them again, and their audit would not balance.
            rows = self._sums(lines).toArrow()
            entry = self._ledger.entry(batch_id)
            windows = self._table.record(entry, rows)
            self.positions, self.tally = self._table.positions(), self._table.tally()
            self.clear_audit()
            self._commit(self.positions)
            self.tell_readers()
            for sink in self._sinks:
                sink.write(ChangedWindows(entry, windows, self.tally, self._table))
            self.newest = NewestBatch(batch_id, self._now())
        except Exception as error:
            # Spark keeps only its text; the job reports the error itself.
            self.failure = error
            raise

    def tell_readers(self) -> None:
        """Write down for the readers of the next micro-batch which lines are too old."""
        closed_us = self._table.closed_before_us()
        write_open_from(self._audit, None if closed_us is None else self._windows.open_from_us(closed_us))

    def clear_audit(self) -> None:
        """Keep the dead letters of what the table holds, and delete the rest of its audit."""
        dropped = self._dead_letters.clear_audit(self.positions)
        if dropped:
            self._table.add_dropped_dead_letters(dropped)
