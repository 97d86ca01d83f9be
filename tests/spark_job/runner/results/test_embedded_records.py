"""The records of a structured job's results: the newest batch, whether it is settled, and the terms of the sum."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.runner.results.embedded_records import NewestStored
from spark_job.runner.results.embedded_table import EmbeddedTable
from tests.support.counts import LOG, QUERY, entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = pa.schema([("item", pa.string()), ("sales", pa.int64())])


@pytest.fixture
def table(tmp_path: Path) -> Iterator[EmbeddedTable]:
    with EmbeddedTable(tmp_path / "counts.db", "by_item", SCHEMA, ("item",), counted="sales") as opened:
        yield opened


def test_a_batch_is_settled_until_the_next_one_is_stored(table: EmbeddedTable) -> None:
    none = SCHEMA.empty_table()
    assert table.newest_stored() is None
    table.record(entry(0, 0, 10), none)
    assert table.newest_stored() == NewestStored(QUERY, 0, {LOG: (0, 10)}, settled=False)
    table.settle()
    assert table.newest_stored() == NewestStored(QUERY, 0, {LOG: (0, 10)}, settled=True)
    table.record(replace(entry(1, 0, 0), ranges=()), none)
    assert table.newest_stored() == NewestStored(QUERY, 1, {}, settled=False)


def test_what_is_missing_shows_where_results_are_not_final_and_is_open_where_they_are(table: EmbeddedTable) -> None:
    table.record(replace(entry(0, 0, 10, malformed=1), late=2), SCHEMA.empty_table())
    assert not table.tally_with(5, final=False).balanced
    still_open = table.tally_with(5, final=True)
    assert (still_open.open, still_open.balanced) == (2, True)
    assert str(table.tally_with(None, final=False)) == "lines read 10 = counted 7 + malformed 1 + late 2"
    assert not table.tally_with(8, final=True).balanced, "more than there can be"


def test_dropped_dead_letters_are_counted_without_a_batch(table: EmbeddedTable) -> None:
    table.add_dropped_dead_letters(3)
    table.add_dropped_dead_letters(1)
    with table._database.reading() as connection:
        assert table._records(connection).total("dead_letters_dropped") == 4


def test_a_table_from_before_the_column_of_settled_batches_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    with closing(sqlite3.connect(path)) as database:
        # As the first version of the records made it.
        database.execute("CREATE TABLE table_state (table_id TEXT NOT NULL, next_sequence INTEGER NOT NULL)")
        database.execute("INSERT INTO table_state VALUES ('made before', 4)")
        database.commit()
    with EmbeddedTable(path, "by_item", SCHEMA, ("item",), counted="sales") as table:
        assert (table.table_id(), table.next_sequence(), table.newest_stored()) == ("made before", 4, None)
        table.record(entry(0, 0, 10), SCHEMA.empty_table())
        assert table.newest_stored() == NewestStored(QUERY, 0, {LOG: (0, 10)}, settled=False)
