"""The results table of a structured job: rows and records change together; sums add up, other rows replace."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from spark_job.errors import AccountingError, SinkError
from spark_job.runner.results.embedded_table import EmbeddedTable
from tests.support.counts import LOG, NASTY_URLS, QUERY, entry

if TYPE_CHECKING:
    from pathlib import Path

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [("window", INSTANT), ("item", pa.string()), ("units", pa.int64()), ("sales", pa.int64()), ("newest", INSTANT)]
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LARGEST = 2**63 - 1
Sale = tuple[str, int | None, int]


def rows(*sales: Sale, newest: datetime = NOON) -> pa.Table:
    found = [
        {"window": NOON, "item": item, "units": units, "sales": count, "newest": newest} for item, units, count in sales
    ]
    return pa.Table.from_pylist(found, schema=SCHEMA)


def opened(folder: Path, **options: Any) -> EmbeddedTable:
    given = {"sums": ("units", "sales"), "counted": "sales", **options}
    return EmbeddedTable(folder / "counts.db", "by_item", SCHEMA, ("window", "item"), **given)


def content(table: EmbeddedTable | pa.Table) -> list[tuple[str, int | None, int]]:
    found = table.to_pylist() if isinstance(table, pa.Table) else table.rows()
    return [(row["item"], row["units"], row["sales"]) for row in found]


def test_sums_add_up_and_other_columns_take_the_newest_value(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.record(entry(0, 0, 3), rows(("a", 5, 1), ("b", 7, 2)))
        later = NOON.replace(hour=13)
        changed = table.record(entry(1, 3, 6), rows(("c", 1, 1), ("a", -6, 2), newest=later))
        assert content(changed) == [("a", -1, 3), ("c", 1, 1)]
        assert changed.schema == SCHEMA
        assert content(table) == [("a", -1, 3), ("b", 7, 2), ("c", 1, 1)]
        assert [row["newest"] for row in table.rows()] == [later, NOON, later]
        assert str(table.tally()) == "lines read 6 = counted 6 + malformed 0"
        table.verify()


def test_a_sum_of_no_values_has_no_value_and_adds_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.record(entry(0, 0, 2), rows(("a", None, 1), ("b", 3, 1)))
        assert content(table.record(entry(1, 2, 3), rows(("a", None, 1)))) == [("a", None, 2)]
        assert content(table.record(entry(2, 3, 5), rows(("a", 4, 1), ("b", None, 1)))) == [("a", 4, 3), ("b", 3, 2)]


def test_any_text_is_a_key_of_its_own_also_in_a_later_process(tmp_path: Path) -> None:
    expected: Counter[str] = Counter()
    reached = 0
    for number in range(3):
        sold = NASTY_URLS[number:]
        with opened(tmp_path) as table:
            batch = entry(number, reached, reached + len(sold))
            changed = table.record(batch, rows(*((item, 1, 1) for item in sold)))
            expected.update(sold)
            reached += len(sold)
            assert Counter({item: sales for item, _, sales in content(table)}) == expected
            assert {item for item, _, _ in content(changed)} == set(sold)


def test_a_batch_that_comes_again_changes_nothing_and_shows_its_rows(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.record(entry(0, 0, 1), rows(("a", 5, 1)))
        table.record(entry(1, 1, 2), rows(("a", 5, 1)))
        assert content(table.record(entry(1, 1, 2), rows(("a", 5, 1)))) == [("a", 10, 2)]
        assert (table.tally().read, table.positions(), table.next_sequence()) == (2, {LOG: 2}, 2)


def test_a_batch_with_a_gap_leaves_no_row(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.record(entry(0, 0, 1), rows(("a", 5, 1)))
        with pytest.raises(AccountingError, match=r"counted up to offset 1, .* covers offsets 2 to 3"):
            table.record(entry(1, 2, 3), rows(("a", 5, 1)))
        assert (content(table), table.positions()) == ([("a", 5, 1)], {LOG: 1})


def test_a_sum_beyond_its_column_is_refused_and_undone(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.record(entry(0, 0, 1), rows(("a", LARGEST, 1)))
        with pytest.raises(SinkError, match="a sum has grown beyond what its column can hold"):
            table.record(entry(1, 1, 2), rows(("a", 1, 1)))
        assert content(table) == [("a", LARGEST, 1)]
        assert table.tally().balanced


def test_rows_changed_from_outside_are_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as table:
        table.record(entry(0, 0, 1), rows(("a", 5, 1)))
        table._database.transaction(lambda connection: connection.exec_driver_sql("UPDATE by_item SET sales = 2"))
        with pytest.raises(AccountingError, match="adds up to 2, but the total says 1"):
            table.verify()


def test_without_sums_rows_replace_those_with_the_same_key(tmp_path: Path) -> None:
    with opened(tmp_path, sums=()) as table:
        assert table.record(entry(0, 0, 3), rows(("a", 5, 1), ("b", 7, 2))).num_rows == 2
        table.record(entry(1, 3, 4), rows(("a", 6, 2)))
        assert table.record(entry(1, 3, 4), rows(("a", 6, 2))).num_rows == 0, "it is stored"
        assert content(table) == [("a", 6, 2), ("b", 7, 2)]
        newest = table.newest_stored()
        assert newest is not None
        assert (newest.query_id, newest.batch_id, table.count_hits()) == (QUERY, 1, 4)
        table.record(entry(2, 4, 5), rows(("c", 1, 5)), replace=True)
        assert content(table) == [("c", 1, 5)]


def test_a_final_row_that_a_new_query_makes_again_is_late(tmp_path: Path) -> None:
    with opened(tmp_path, sums=()) as table:
        table.record(entry(0, 0, 7), rows(("a", 5, 3), ("b", 7, 4)), final=True)
        later = rows(("a", 1, 1), ("c", 2, 2))
        assert content(table.record(entry(0, 7, 10, query_id="new"), later, final=True)) == [("c", 2, 2)]
        assert content(table) == [("a", 5, 3), ("b", 7, 4), ("c", 2, 2)]
        tally = table.tally_with(table.count_hits(), final=True)
        assert str(tally) == "lines read 10 = counted 9 + malformed 0 + late 1"


def test_an_empty_table_begins_as_a_new_one_but_for_its_id_and_number(tmp_path: Path) -> None:
    with opened(tmp_path, sums=()) as table:
        table.record(entry(0, 0, 7), rows(("a", 5, 3)))
        table_id = table.table_id()
        table.empty()
        assert (content(table), table.positions(), table.newest_stored()) == ([], {}, None)
        assert (table.table_id(), table.next_sequence(), table.tally_with(0, final=False).read) == (table_id, 1, 0)
        table.record(entry(0, 0, 7), rows(("a", 1, 1)))


def test_records_of_an_earlier_version_go_on(tmp_path: Path) -> None:
    sums = {"read": 30, "lost": 0, "malformed": 2, "late": 3, "missed": 0, "dropped_dead_letters": 1}
    with opened(tmp_path) as table:
        table.replace_all(rows(("a", 50, 25), ("b", 1, 2)))
        ahead = entry(5, 30, 32)
        table.go_on_from([entry(4, 20, 30, malformed=1), ahead], sums, {LOG: 30, "log-b": 7})
        assert (table.table_id(), table.next_sequence()) == (QUERY, 6)
        assert table.positions() == {LOG: 32, "log-b": 7}
        assert str(table.tally()) == "lines read 32 = counted 27 + malformed 2 + late 3"
        table.record(entry(0, 32, 33, query_id="new"), rows(("a", 1, 1)))
        table.verify()
        assert content(table) == [("a", 51, 26), ("b", 1, 2)]
