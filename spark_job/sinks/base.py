"""The interface of sinks for URL counts: console, files and databases that are written from the results table.

Each micro-batch goes into the table first, in one transaction (:mod:`spark_job.sinks.counts_table.writer`). The sinks
copy from the table, so a micro-batch that runs twice needs no special care in them: whatever they wrote before, after
the next micro-batch they agree with the table again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.accounting.tally import Tally
    from spark_job.sinks.counts_table.reader import Window
    from spark_job.sinks.counts_table.writer import CountsTable


@dataclass(frozen=True)
class ChangedWindows:
    """One micro-batch, as the sinks get it once the table has stored it.

    Attributes:
        entry: the batch's ledger entry.
        windows: the windows that changed, newest first.
        tally: the sum over all batches so far.
        table: all counts, and the rows that changed.
    """

    entry: LedgerEntry
    windows: list[Window]
    tally: Tally
    table: CountsTable


class Sink(Protocol):
    """Shows or keeps the counts."""

    def write(self, changed: ChangedWindows) -> None:
        """Take one micro-batch. After a restart Spark may run it again; the result must then be the same.

        Raises:
            SinkError: it cannot be written; the query ends, and its next start runs the micro-batch again.
        """

    def write_if_due(self) -> None:
        """Write what was put off, if its pause is over; called about every second from another thread than write.

        Raises:
            SinkError: it cannot be written; the query ends, and its next start writes all of the table.
        """

    def close(self) -> None:
        """Write what was put off, so that the sink agrees with the table, and close files.

        Raises:
            SinkError: it cannot be written.
        """
