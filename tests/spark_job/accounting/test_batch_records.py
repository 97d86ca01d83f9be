"""The records of a results table: each micro-batch once, ranges without a gap, the newest ones kept."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from spark_job.accounting.batch_records import KEPT_BATCHES, BatchRecords
from spark_job.errors import AccountingError
from tests.support.counts import LOG, QUERY, entry

TERMS = ("read", "malformed")
SCHEMA = """
CREATE TABLE table_state (table_id TEXT, next_sequence INTEGER);
INSERT INTO table_state VALUES ('the table', 0);
CREATE TABLE positions (log_id TEXT PRIMARY KEY, next_offset INTEGER);
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER);
INSERT INTO totals VALUES ('read', 0), ('malformed', 0), ('hits', 0), ('lost', 0);
CREATE TABLE batches (sequence INTEGER PRIMARY KEY, query_id TEXT, batch_id INTEGER, ranges TEXT, read INTEGER,
                      malformed INTEGER, UNIQUE (query_id, batch_id));
"""


@pytest.fixture
def records() -> BatchRecords:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    return BatchRecords(Path("counts.db"), db.execute, TERMS)


def test_batches_of_several_queries_add_up_and_are_numbered_through(records: BatchRecords) -> None:
    assert (records.positions(), records.newest(), records.next_sequence()) == ({}, None, 0)
    records.record(entry(0, 0, 10, malformed=2))
    records.record(entry(1, 10, 15))
    records.record(entry(0, 15, 16, query_id="another"))
    records.add(hits=14)
    assert (records.positions(), records.newest(), records.next_sequence()) == ({LOG: 16}, ("another", 0), 3)
    assert [records.total(name) for name in ("read", "malformed", "hits")] == [16, 2, 14]
    assert records.table_id() == "the table"


def test_a_batch_that_is_stored_is_known_by_query_and_number(records: BatchRecords) -> None:
    records.record(entry(0, 0, 10, malformed=2))
    assert records.holds(entry(0, 0, 10, malformed=2))
    assert not records.holds(entry(0, 0, 10, malformed=2, query_id="another"))
    for other in (entry(0, 0, 11, malformed=2), entry(0, 0, 10, malformed=1)):
        with pytest.raises(AccountingError, match=f"micro-batch 0 of query {QUERY} was stored as .* and came again as"):
            records.holds(other)


def test_a_batch_with_a_gap_is_refused_and_one_without_lines_is_not(records: BatchRecords) -> None:
    records.record(entry(0, 0, 10))
    for start in (9, 12):
        with pytest.raises(AccountingError, match=f"counted up to offset 10, .* covers offsets {start} to 20"):
            records.record(entry(1, start, 20))
    records.record(replace(entry(1, 0, 0), ranges=()))
    assert records.positions() == {LOG: 10}


def test_events_between_the_results_and_the_next_query_are_lost(records: BatchRecords) -> None:
    records.record(entry(0, 0, 10))
    records.skip_lost({LOG: 10, "a new log": 5})
    records.skip_lost({LOG: 13})
    assert (records.total("lost"), records.positions()) == (3, {LOG: 13})
    records.record(entry(0, 13, 14, query_id="another"))


def test_only_the_newest_batches_are_kept(records: BatchRecords) -> None:
    for number in range(KEPT_BATCHES + 3):
        records.record(entry(number, number, number + 1))
    assert not records.holds(entry(2, 2, 3))
    assert records.holds(entry(3, 3, 4))
    assert records.total("read") == KEPT_BATCHES + 3
