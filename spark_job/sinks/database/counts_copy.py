"""The table of URL counts once more, in a database where others can ask for it.

::

    url_counts   window_start, window_end, url   the key
                 hits, bytes, errors             as the table of results has them: whole numbers, never differences

The database may be behind the table of results: it was added later, it was away, or the process was killed between the
two. Then all rows of the table are written once at the start. It is never ahead, since it is written second; a batch
that Spark runs again is in its ledger and changes nothing. Windows that leave the table of results stay here.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_job.sinks.database import Database
from spark_job.sinks.database.ledger import stored_batch
from spark_job.sinks.database.write import TableWriter
from spark_job.sinks.parquet import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spark_job.sinks.base import ChangedWindows
    from spark_job.sinks.counts_table.reader import CountsReader, UrlCount, Window
    from spark_job.sinks.database import Target

TABLE = "url_counts"
KEY = ("window_start", "window_end", "url")
ROWS_AT_ONCE = 20_000


class MirrorSink:
    """Keeps ``url_counts`` in a database equal to the table, and completes it once at the start.

    Raises:
        OptionError: the database has a table of that name that does not fit.
        SinkError: the database is away for longer than is waited for, or refuses.
    """

    def __init__(self, target: Target, table: CountsReader) -> None:
        self._database = Database(target)
        try:
            self._writer = TableWriter(self._database, TABLE, SCHEMA, KEY, create=True)
            self._catch_up(table)
        except BaseException:
            self._database.close()
            raise

    def write(self, changed: ChangedWindows) -> None:
        """Write the rows that the batch changed, in one transaction with the batch's number."""
        self._writer.write(changed.rows, query_id=changed.entry.query_id, batch_id=changed.entry.batch_id)

    def close(self) -> None:
        """Let go of the connection; each batch leaves the database complete."""
        self._database.close()

    def _catch_up(self, table: CountsReader) -> None:
        query_id, newest = table.owner(), table.newest_batch()
        if query_id is None or newest is None or stored_batch(self._database, query_id, TABLE) >= newest:
            return
        rows = table.rows()
        while part := list(islice(rows, ROWS_AT_ONCE)):
            self._writer.write(_as_arrow(part), query_id=None)
        # Only now: what a kill has left half done is begun again.
        self._writer.write(_as_arrow([]), query_id=query_id, batch_id=newest)


def _as_arrow(rows: Iterable[tuple[Window, UrlCount]]) -> pa.Table:
    found = [{"window_start": window.start, "window_end": window.end, **count._asdict()} for window, count in rows]
    return pa.Table.from_pylist(found, schema=SCHEMA)
