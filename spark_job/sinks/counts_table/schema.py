"""The SQLite schema of the table of results: counts per window and URL, and what stores each batch exactly once.

Times are microseconds since the epoch. :mod:`spark_job.sinks.counts_table.writer` holds the theory.
"""

from __future__ import annotations

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE counts (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    url          TEXT    NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end, url)
) WITHOUT ROWID;

-- The sums of each window, kept by differences so that a share needs no walk over the window's rows.
CREATE TABLE windows (
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    urls         INTEGER NOT NULL,
    hits         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    PRIMARY KEY (window_start, window_end)
) WITHOUT ROWID;

-- The newest batches. A batch that is here has been stored and changes nothing when it comes again.
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

-- Up to where each log has been read.
CREATE TABLE positions (
    log_id      TEXT PRIMARY KEY,
    next_offset INTEGER NOT NULL
) WITHOUT ROWID;

-- Sums over all batches ever stored, and over all windows, those that were archived (deleted) included.
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
