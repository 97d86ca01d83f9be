"""Takes over, once, the line totals that earlier versions kept beside the results table of a structured job.

==========================================  ===========================================================================
``books.json`` and ``counts.db``            what happens
==========================================  ===========================================================================
are of the same micro-batch                 the totals go into ``counts.db``, and ``books.json`` is deleted
``counts.db`` is a micro-batch ahead        the same. Rows that are sums already have that micro-batch, so its entry is
                                            made from the checkpoint and the audit of the query that stored it. Other
                                            rows are absolute values: Spark runs the micro-batch again
``counts.db`` is behind                     it was replaced by an older copy, and the folder is refused
``counts.db`` has totals                    they were taken over before; ``books.json`` is deleted
==========================================  ===========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.accounting.totals_file import read_totals_file
from spark_job.errors import JobFolderError, sink_errors
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.ledger import stored_batch

if TYPE_CHECKING:
    from spark_job.accounting.ledger import Ledger
    from spark_job.runner.job_folder import JobFolder
    from spark_job.runner.results.embedded_table import EmbeddedTable


def take_over_totals(folder: JobFolder, table: EmbeddedTable, ledger: Ledger, *, sums: bool) -> None:
    """Move what ``books.json`` says into the results table.

    Args:
        folder: the job's folder.
        table: the results table.
        ledger: of the query that stored the rows.
        sums: whether rows are sums.

    Raises:
        AccountingError: ``books.json`` is damaged, or the entry of the newest micro-batch cannot be made.
        JobFolderError: the table lacks micro-batches that ``books.json`` has.
        SinkError: a file cannot be written.
    """
    totals = read_totals_file(folder.totals)
    if totals is None:
        return
    if table.newest_stored() is None:
        newest = totals.newest
        with Database(parse_database_url(f"sqlite:///{table.path}")) as database:
            stored = stored_batch(database, newest.query_id, table.name)
        if stored < newest.batch_id:
            raise JobFolderError(
                f"{table.path} ends at micro-batch {stored}, {folder.totals} at {newest.batch_id}: was the table "
                "replaced by an older copy? Put the newest copy back, or take a new job folder and consumer name to "
                "count again"
            )
        ahead = [ledger.entry(stored)] if sums and stored > newest.batch_id else []
        table.go_on_from([newest, *ahead], totals.sums, totals.positions)
        if not sums and folder.checkpoint.is_committed(newest.batch_id):
            # Spark has told the bridges of it, so its lines may be gone: it must not run again.
            folder.checkpoint.sync()
            table.settle()
    with sink_errors(folder.totals):
        folder.totals.unlink()
