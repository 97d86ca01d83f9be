"""Schema of the results table: in SQLite as the job keeps it, in Arrow as sinks pass it on.

Times in SQLite are microseconds since the epoch. :mod:`spark_job.sinks.counts_table.writer` explains how the tables
work together, and takes a file of version 1 over.
"""

from __future__ import annotations

import pyarrow as pa

KEY = ("window_start", "window_end", "url")
"""The columns that tell counts apart."""

_INSTANT = pa.timestamp("us", tz="UTC")
_FIELDS: list[pa.Field[pa.DataType]] = [
    pa.field("window_start", _INSTANT, nullable=False),
    pa.field("window_end", _INSTANT, nullable=False),
    pa.field("url", pa.string(), nullable=False),
    pa.field("hits", pa.int64(), nullable=False),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("errors", pa.int64(), nullable=False),
]
ARROW_SCHEMA = pa.schema(_FIELDS)
"""One row of counts: what Parquet files and copies in databases hold."""

SCHEMA_VERSION = 2

SQL_SCHEMA = """
CREATE TABLE counts (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    url          TEXT    NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end, url)
) WITHOUT ROWID;

-- The sums of each window, so that a share needs no scan of the window's rows.
CREATE TABLE windows (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    urls         INTEGER NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end)
) WITHOUT ROWID;

-- The offset up to which each log is counted: a new query starts here.
CREATE TABLE positions (
    log_id      TEXT PRIMARY KEY,
    next_offset INTEGER NOT NULL
) WITHOUT ROWID;

-- Sums over all micro-batches ever stored and over all windows, including those that were archived (deleted).
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO totals (name, value)
VALUES ('read', 0), ('lost', 0), ('malformed', 0), ('late', 0), ('missed', 0), ('hits', 0), ('rows', 0),
       ('archived_windows', 0), ('archived_rows', 0), ('archived_hits', 0), ('dead_letters_dropped', 0);
"""
"""What both versions of the schema have."""

SQL_SINCE_2 = """
-- The newest micro-batches of all queries, numbered through. One that is stored changes nothing when it comes again.
CREATE TABLE batches (
    sequence  INTEGER PRIMARY KEY,
    query_id  TEXT    NOT NULL,
    batch_id  INTEGER NOT NULL,
    ranges    TEXT    NOT NULL,  -- {"<log id>": [first offset, next offset], ...}
    read      INTEGER NOT NULL,
    lost      INTEGER NOT NULL,
    malformed INTEGER NOT NULL,
    too_old   INTEGER NOT NULL,
    missed    INTEGER NOT NULL,
    UNIQUE (query_id, batch_id)
);

CREATE TABLE table_state (
    table_id         TEXT    NOT NULL,  -- names this table in the ledgers of databases
    windows_per_line INTEGER NOT NULL,
    closed_before    INTEGER,           -- windows that end here or before are closed; NULL: none is
    next_sequence    INTEGER NOT NULL
);

INSERT INTO totals (name, value) VALUES ('too_old', 0);
"""

SQL_BEFORE_2 = """
ALTER TABLE batches RENAME TO batches_1;
"""

SQL_AFTER_2 = """
INSERT INTO table_state
SELECT query_id, windows_per_line, NULL, ifnull((SELECT max(batch_id) + 1 FROM batches_1), 0) FROM owner;
DROP TABLE batches_1;
DROP TABLE owner;
"""
"""Version 1 belonged to one query of Spark, which kept the open windows. That query's id becomes the table's, so that
copies in databases go on. A table of version 1 without a batch has no owner, and gets its state as a new one does.
"""

SCRIPTS = {0: SQL_SCHEMA + SQL_SINCE_2, 1: SQL_BEFORE_2 + SQL_SINCE_2 + SQL_AFTER_2}
"""By the version of a file, how it becomes one of this version; a new file has version 0."""
