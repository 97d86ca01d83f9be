"""Copies the results table into a database, where others can query it.

::

    url_counts   window_start, window_end, url   the key
                 hits, bytes, errors             absolute values, as in the results table

The copy may be behind the results table: it was added later, the database was away, or the process was killed between
the two writes. Then the start writes all rows of the table. The copy is never ahead, since it is written second. Its
ledger knows the results table by its id, and the table's batches by their sequence. Windows that leave the results
table stay here.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_job.sinks.counts_table.schema import ARROW_SCHEMA, KEY
from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.ledger import stored_batch
from spark_job.sinks.database.write import TableWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, UrlCount, Window
    from spark_job.sinks.database.url import DatabaseUrl

TABLE = "url_counts"
ROWS_AT_ONCE = 20_000


class CountsCopySink:
    """Keeps ``url_counts`` in a database equal to the results table, and completes it at the start.

    Args:
        url: of the database.
        table: the results table.
        adopt: whether to take the database's table from the job that owns it.

    Raises:
        OptionError: the database has another table of that name, or it is the copy of another results table.
        SinkError: the database is away for too long, or refuses.
    """

    def __init__(self, url: DatabaseUrl, table: CountsReader, *, adopt: bool = False) -> None:
        self._database = Database(url)
        try:
            self._writer = TableWriter(self._database, TABLE, ARROW_SCHEMA, KEY, create=True, adopt=adopt)
            self._writer.check_owner(table.table_id())
            self._catch_up(table)
        except BaseException:
            self._database.close()
            raise

    def write(self, changed: ChangedWindows) -> None:
        """Write the changed rows, in one transaction with the batch's number."""
        table = changed.table
        self._writer.write(table.changed_rows(), query_id=table.table_id(), batch_id=table.next_sequence() - 1)

    def write_if_due(self) -> None:
        """Do nothing: each batch leaves the copy complete."""

    def close(self) -> None:
        """Close the connection; each micro-batch leaves the copy complete."""
        self._database.close()

    def _catch_up(self, table: CountsReader) -> None:
        table_id, newest = table.table_id(), table.next_sequence() - 1
        if stored_batch(self._database, table_id, TABLE) >= newest:
            return
        rows = table.rows()
        while part := list(islice(rows, ROWS_AT_ONCE)):
            self._writer.write(_as_arrow(part), query_id=table_id, batch_id=None)
        # The number goes in last, so that a copy which a kill interrupted starts again from the first row.
        self._writer.write(_as_arrow([]), query_id=table_id, batch_id=newest)


def _as_arrow(rows: Iterable[tuple[Window, UrlCount]]) -> pa.Table:
    found = [{"window_start": window.start, "window_end": window.end, **count._asdict()} for window, count in rows]
    return pa.Table.from_pylist(found, schema=ARROW_SCHEMA)
