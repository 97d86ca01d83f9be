"""Takes over, once, the sum that earlier versions kept in ``batches.db`` beside the results of a DStream job.

::

    batches.db of these versions
      batches   booked     1 if the sum has the lines of the batch, else 0
      sum       read, counted, malformed, lost
      meta      query_id   named the batches in the ledger of counts.db, and in those of databases

They stored the rows of a batch in one transaction, and added its lines to the sum in a second one:

=========================================  ============================================================================
``counts.db`` and ``batches.db``           what happens
=========================================  ============================================================================
are of the same batch                      the sum goes into ``counts.db``
``counts.db`` is a batch ahead             the same, with the lines of that batch, from its plan and its audit
``counts.db`` is behind                    it was replaced by an older copy, and the folder is refused
``counts.db`` has records                  they were taken over before a kill; the old sum is deleted
=========================================  ============================================================================

In the ledgers of databases a batch was numbered by its time. The results keep the id of these batches, and their next
number follows the newest time, so the ledgers continue.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from spark_job.accounting.ledger import LedgerEntry
from spark_job.errors import JobFolderError, SinkError
from spark_job.runner.dstreams.batch_entry import entry_of
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.ledger import NONE_YET, stored_batch

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.runner.dstreams.batch_plans import BatchPlans
    from spark_job.runner.results.embedded_table import EmbeddedTable

DELETE_SUM = """
BEGIN IMMEDIATE;
DROP TABLE sum;
ALTER TABLE batches DROP COLUMN booked;
DELETE FROM meta WHERE name = 'query_id';
COMMIT;
"""


def take_over_sum(plans: BatchPlans, table: EmbeddedTable, audit: Path, *, allow_loss: bool = False) -> None:
    """Move the sum of an earlier version into the results table.

    Args:
        plans: the plans of the batches.
        table: the results table.
        audit: the folder of the audit files.
        allow_loss: whether events may be missing from the audit; they count as lost.

    Raises:
        AccountingError: the audit of the newest stored batch is damaged.
        JobFolderError: the table lacks batches that are in the sum.
        SinkError: a file cannot be written.
    """
    try:
        with closing(sqlite3.connect(plans.path, isolation_level=None)) as old:
            if not old.execute("SELECT * FROM sqlite_schema WHERE name = 'sum'").fetchall():
                return
            if table.newest_batch_id() == NONE_YET:
                _move(old, plans, table, audit, allow_loss=allow_loss)
            old.executescript(DELETE_SUM)
    except sqlite3.Error as error:
        raise SinkError(f"{plans.path}: the sum of an earlier version cannot be taken over: {error}") from error


def _move(old: sqlite3.Connection, plans: BatchPlans, table: EmbeddedTable, audit: Path, *, allow_loss: bool) -> None:
    query_id = str(old.execute("SELECT value FROM meta WHERE name = 'query_id'").fetchone()[0])
    in_sum_ms = int(old.execute("SELECT coalesce(max(time_ms), -1) FROM batches WHERE booked").fetchone()[0])
    read, counted, malformed, lost = old.execute("SELECT read, counted, malformed, lost FROM sum").fetchone()
    with Database(parse_database_url(f"sqlite:///{table.path}")) as database:
        stored_ms = stored_batch(database, query_id, table.name)
    if stored_ms < in_sum_ms:
        raise JobFolderError(
            f"{table.path} ends at batch {stored_ms}, the sum in {plans.path} at {in_sum_ms}: was the table replaced "
            "by an older copy? Put the newest copy back, or take a new job folder and consumer name to count again"
        )
    if stored_ms == NONE_YET:
        return
    newest = LedgerEntry(query_id, stored_ms, (), 0, 0, 0, 0, 0, 0)
    if stored_ms > in_sum_ms:
        ahead = plans.between(in_sum_ms, stored_ms)
        if not ahead or ahead[-1].time_ms != stored_ms:
            raise JobFolderError(
                f"{table.path} ends at batch {stored_ms}, which is not planned in {plans.path}: was that file replaced "
                "by an older copy? Put the newest copy back, or take a new job folder and consumer name to count again"
            )
        newest, more = entry_of(ahead, query_id, audit, allow_loss=allow_loss)
        counted += more
    sums = {
        "read": read + newest.read,
        "lost": lost + newest.lost,
        "malformed": malformed + newest.malformed,
        "late": 0,
        "missed": 0,
        "hits": counted,
        "dropped_dead_letters": 0,
    }
    table.go_on_from([newest], sums, plans.positions(stored_ms))
