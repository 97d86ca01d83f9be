"""Results in a database: SQLite, PostgreSQL, MariaDB or MySQL, named by a URL.

A streaming query ends in one line::

    upsert(counts, "postgresql://counter@db/counts", "actions", key=["action", "window"])

The modules, upstream first:

=================  ====================================================================================================
``url``            the URL, checked; where the password comes from
``retry``          which errors are transient, and how long transactions are retried
``connection``     an open database: transactions that are repeated after an outage
``columns``        column types of a result in each database; struct fields become columns
``key_text``       text in a key: a form that every database can hold, different for different texts
``dialects``       the statements in which the databases differ
``schema_check``   whether an existing table can take a result
``tables``         makes the table, or refuses one that does not fit
``ledger``         the newest batch of each query in each table
``ownership``      refuses a second writer of a table, unless it adopts the table
``rows``           Arrow to the parameters of a statement
``write``          one batch, one transaction
``read``           reads a table back, ordered by key
``upsert``         :func:`upsert`
``staging``        for results too large for the driver: tasks stage rows, the driver's commit moves them
``spark_format``   ``format("upsert")``
``counts_copy``    copies the results table into a database
``top_urls``       the top URLs of a time range, for ``headrace top``
=================  ====================================================================================================
"""

from __future__ import annotations

from spark_job.sinks.database.connection import Database
from spark_job.sinks.database.read import read_rows
from spark_job.sinks.database.upsert import upsert
from spark_job.sinks.database.url import DEFAULT_RETRY_FOR, DatabaseUrl, parse_database_url
from spark_job.sinks.database.write import write_batch

__all__ = ["DEFAULT_RETRY_FOR", "Database", "DatabaseUrl", "parse_database_url", "read_rows", "upsert", "write_batch"]
