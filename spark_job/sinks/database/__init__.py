"""Results in a database: SQLite, PostgreSQL, MariaDB or MySQL, named by a URL.

A streaming query ends in one line::

    upsert(counts, "postgresql://counter@db/counts", "actions", key=["action", "window"])

What lies behind it, upstream first:

=================  ====================================================================================================
``target``         the URL, checked; where the password comes from
``outages``        which errors pass by themselves, and how long they are waited for
``connection``     an open database: transactions that ride an outage out
``shape``          what the columns of a result are in each database; structs become columns of their own
``keys``           text as key: what a database cannot hold as it is, without two keys becoming one
``rows``           Arrow to the rows of a statement
``tables``         makes the table, or refuses one that does not fit
``ledger``         which batch of which query is in which table
``writing``        one batch, one transaction
``statements``     what the databases write differently
``fitting``        what is wrong with a table that does not fit
``reading``        the table back, in the order of its key
``streams``        :func:`upsert`
``staging``        for results too large for the driver: staged by the tasks, moved by the driver's commit
``source``         ``format("upsert")``
=================  ====================================================================================================
"""

from __future__ import annotations

from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.read import read_rows
from spark_job.sinks.database.upsert import upsert
from spark_job.sinks.database.url import DEFAULT_RETRY_FOR, Target, parse_target
from spark_job.sinks.database.write import write_batch

__all__ = ["DEFAULT_RETRY_FOR", "Database", "Target", "parse_target", "read_rows", "upsert", "write_batch"]
