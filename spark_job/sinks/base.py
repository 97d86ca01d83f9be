"""The interface of sinks for URL counts: console, files and databases that are written from the results table.

Each micro-batch goes into the table first, in one transaction (:mod:`spark_job.sinks.counts_table.writer`). The sinks
copy from the table, so a micro-batch that runs twice needs no special care in them: whatever they wrote before, after
the next micro-batch they agree with the table again.
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
    """One micro-batch, as the sinks get it once the table has stored it.

    Attributes:
        entry: the micro-batch's ledger entry; a sink with transactions identifies it by query id and batch id.
        rows: window_start, window_end, url, hits, bytes, errors of each (window, URL) that changed; absolute values.
        windows: the windows of those rows, newest first.
        tally: the terms of the sum over all micro-batches so far.
        table: all counts, for ranks and shares, which the changed rows alone do not determine.
    """

    entry: LedgerEntry
    rows: pa.Table
    windows: list[Window]
    tally: Tally
    table: CountsReader


class Sink(Protocol):
    """Shows or keeps the counts."""

    def write(self, changed: ChangedWindows) -> None:
        """Take one micro-batch. After a restart Spark may run it again; the result must then be the same.

        Raises:
            SinkError: it cannot be written; the query ends, and its next start runs the micro-batch again.
        """

    def close(self) -> None:
        """Write what was put off, so that the sink agrees with the table, and close files.

        Raises:
            SinkError: it cannot be written.
        """
