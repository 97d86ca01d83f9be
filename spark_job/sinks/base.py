"""Where the counts go: the table of results, and the console and files that are written from it.

Every batch goes into the table first, in one transaction (:mod:`spark_job.sinks.counts_table.writer`). The sinks behind
it show what the table holds, so they need no care of their own for batches that come twice: whatever they wrote before,
after the next batch they agree with the table again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.accounting.tally import Tally
    from spark_job.sinks.counts_table.reader import CountsReader, Window


@dataclass(frozen=True)
class ChangedWindows:
    """One batch, as the sinks see it after the table has it.

    Attributes:
        entry: the batch's ledger entry; query id and batch id identify the batch for a target with transactions.
        rows: window_start, window_end, url, hits, bytes, errors of the (window, URL) pairs that changed; absolute
            values.
        windows: the windows of those rows, newest first.
        tally: the sum over all batches so far.
        table: all counts, for what the changed rows alone do not tell, such as ranks and shares.
    """

    entry: LedgerEntry
    rows: pa.Table
    windows: list[Window]
    tally: Tally
    table: CountsReader


class Sink(Protocol):
    """Something that shows or keeps the counts."""

    def write(self, changed: ChangedWindows) -> None:
        """Take one batch. It may come again after a restart, and then has to lead to the same result.

        Raises:
            SinkError: it cannot be written; the query ends and runs the batch again on its next start.
        """

    def close(self) -> None:
        """Write what was put off, so that the sink agrees with the table, and let go of files.

        Raises:
            SinkError: it cannot be written.
        """
