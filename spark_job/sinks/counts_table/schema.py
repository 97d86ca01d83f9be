"""Schema of the results table: in SQLite as the job keeps it, in Arrow as sinks pass it on.

Times in SQLite are microseconds since the epoch. :mod:`spark_job.sinks.counts_table.writer` explains how the tables
work together.
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

SCHEMA_VERSION = 1

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

-- The sums of each window, updated by differences, so that a share needs no scan of the window's rows.
CREATE TABLE windows (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    urls         INTEGER NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end)
) WITHOUT ROWID;

-- The newest batches. A batch in this table is stored; when Spark runs it again it changes nothing.
CREATE TABLE batches (
    batch_id         INTEGER PRIMARY KEY,
    read             INTEGER NOT NULL,
    lost             INTEGER NOT NULL,
    malformed        INTEGER NOT NULL,
    late             INTEGER NOT NULL,
    missed           INTEGER NOT NULL,
    late_before_ms   INTEGER NOT NULL,
    closed_before_ms INTEGER NOT NULL
);

-- The offset up to which each log is counted.
CREATE TABLE positions (
    log_id      TEXT PRIMARY KEY,
    next_offset INTEGER NOT NULL
) WITHOUT ROWID;

-- Sums over all batches ever stored and over all windows, including those that were archived (deleted).
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO totals (name, value)
VALUES ('read', 0), ('lost', 0), ('malformed', 0), ('late', 0), ('missed', 0), ('hits', 0), ('rows', 0),
       ('archived_windows', 0), ('archived_rows', 0), ('archived_hits', 0), ('dead_letters_dropped', 0);

CREATE TABLE owner (
    query_id         TEXT    NOT NULL,
    windows_per_line INTEGER NOT NULL
);
"""
