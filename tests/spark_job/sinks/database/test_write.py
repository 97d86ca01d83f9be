"""A batch goes in whole and once; every value comes back as it was, or as it is written down that it is kept."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from spark_job.errors import OptionError, SinkError
from spark_job.sinks.database import Database, DatabaseUrl, read_rows, write_batch
from spark_job.sinks.database.write import TableWriter
from tests.support.results import INSTANT, NINE, counts, execute, ledger_of, new_name

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = ("action", "window")


def stored(target: DatabaseUrl | Database, table: str) -> dict[str | None, int]:
    """Return the counts of a table with one window."""
    return {row["action"]: row["count"] for row in read_rows(target, table)}


def test_a_batch_makes_its_table_and_comes_back_in_the_order_of_its_key(target: DatabaseUrl) -> None:
    table = new_name()
    assert write_batch(target, table, KEY, counts(["view", "Buy", "buy"], [3, 2, 1]), query_id="q") == 3
    rows = list(read_rows(target, table))
    assert [row["action"] for row in rows] == ["Buy", "buy", "view"]
    assert rows[0] == {"action": "Buy", "window_start": NINE, "window_end": NINE + timedelta(hours=1), "count": 2}


def test_a_batch_that_comes_again_changes_nothing(target: DatabaseUrl) -> None:
    table, query = new_name(), str(uuid.uuid4())
    assert write_batch(target, table, KEY, counts(["a", "b"], [1, 1]), query_id=query, batch_id=0) == 2
    assert write_batch(target, table, KEY, counts(["a", "c"], [5, 5]), query_id=query, batch_id=1) == 2
    for batch_id in (0, 1):
        assert write_batch(target, table, KEY, counts(["a", "d"], [9, 9]), query_id=query, batch_id=batch_id) == 0
    assert stored(target, table) == {"a": 5, "b": 1, "c": 5}
    assert write_batch(target, table, KEY, counts(["a"], [6]), query_id=query, batch_id=2) == 1
    assert stored(target, table)["a"] == 6


def test_a_query_that_starts_again_from_nothing_is_no_replay(target: DatabaseUrl) -> None:
    table = new_name()
    for batch_id in range(3):
        write_batch(target, table, KEY, counts(["a"], [batch_id]), query_id="with checkpoint", batch_id=batch_id)
    again = counts(["a"], [7])
    assert write_batch(target, table, KEY, again, query_id="checkpoint lost", batch_id=0, adopt=True) == 1
    assert stored(target, table) == {"a": 7}


def test_tables_of_one_query_have_batches_of_their_own(target: DatabaseUrl) -> None:
    for table in (new_name(), new_name()):
        assert write_batch(target, table, KEY, counts(["a"], [1]), query_id="one query") == 1


def test_a_batch_that_fails_leaves_nothing(target: DatabaseUrl) -> None:
    table = new_name()
    write_batch(target, table, KEY, counts(["a"], [1]), query_id=table)
    with Database(target) as database:
        writer = TableWriter(database, table, counts([], []).schema, KEY, create=False)
        execute(target, f"ALTER TABLE {table} RENAME COLUMN count TO counted")
        with pytest.raises(SinkError, match="count"):
            writer.write(counts(["b"], [2]), query_id=table, batch_id=1)
    assert [(row["action"], row["counted"]) for row in read_rows(target, table)] == [("a", 1)]
    assert ledger_of(target, table) == [(0, 1)]


def test_a_complete_result_takes_the_place_of_the_old_one(target: DatabaseUrl) -> None:
    table = new_name()
    write_batch(target, table, KEY, counts(["a", "b"], [1, 2]), query_id="q", batch_id=0, replace=True)
    write_batch(target, table, KEY, counts(["b", "c"], [3, 4]), query_id="q", batch_id=1, replace=True)
    assert stored(target, table) == {"b": 3, "c": 4}
    write_batch(target, table, KEY, counts(["z"], [9]), query_id="q", batch_id=1, replace=True)
    assert stored(target, table) == {"b": 3, "c": 4}


def test_an_empty_batch_is_booked(target: DatabaseUrl) -> None:
    table = new_name()
    assert write_batch(target, table, KEY, counts([], []), query_id=table) == 0
    assert ledger_of(target, table) == [(0, 0)]


def test_every_type_comes_back_as_it_was(target: DatabaseUrl) -> None:
    table = new_name()
    columns = {
        "id": pa.array([1, 2], pa.int32()),
        "flag": pa.array([True, None]),
        "small": pa.array([-(2**15), None], pa.int16()),
        "large": pa.array([2**63 - 1, -(2**63)], pa.int64()),
        "ratio": pa.array([0.1 + 0.2, -1e300]),
        "price": pa.array([Decimal("12345678901234.56"), None], pa.decimal128(16, 2)),
        "text": pa.array(["grüße \U0001f600", ""]),
        "raw": pa.array([b"\0\xff", None], pa.binary()),
        "day": pa.array([date(1969, 12, 31), None]),
        "at": pa.array([datetime(2026, 7, 1, 9, 0, 0, 123_456, UTC), None], INSTANT),
    }
    write_batch(target, table, ["id"], pa.table(columns), query_id=None)
    first, second = read_rows(target, table)
    if target.dialect == "sqlite":
        first["price"] = Decimal(first["price"])
    assert first == {name: column[0].as_py() for name, column in columns.items()}
    assert second == {name: column[1].as_py() for name, column in columns.items()}


def test_instants_are_kept_whatever_zones_session_and_server_are_in(target: DatabaseUrl) -> None:
    table, kathmandu = new_name(), timezone(timedelta(hours=5, minutes=45))
    # Spark gives timestamps in the session's zone. 2 a.m. comes twice in that night in Berlin.
    instants = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    rows = pa.table({"at": pa.array(instants, pa.timestamp("us", tz="Europe/Berlin")), "n": [1, 2]})
    write_batch(target, table, ["at"], rows, query_id="q", batch_id=0)
    again = pa.table({"at": pa.array([instants[0].astimezone(kathmandu)], pa.timestamp("us", tz="+05:45")), "n": [3]})
    write_batch(target, table, ["at"], again, query_id="q", batch_id=1)
    assert [(row["at"], row["n"]) for row in read_rows(target, table)] == [(instants[0], 3), (instants[1], 2)]


def test_keys_that_databases_confuse_stay_apart(target: DatabaseUrl) -> None:
    table = new_name()
    keys: Sequence[str | None] = [
        *(
            "/a",
            "/A",
            "/a ",
            "/á",
            "/a\0",
            "/a\ufffd",
            "",
            None,
            "(null)",
            "straße",
            "STRASSE",
            "\U0001f600",
            "\U0001f601",
        ),
        "x" * 5_000 + "1",
        "x" * 5_000 + "2",
        "\U0001f600" * 5_000,
    ]
    write_batch(target, table, KEY, counts(keys, range(len(keys))), query_id=None)
    write_batch(target, table, KEY, counts(keys, range(100, 100 + len(keys))), query_id=None)
    rows = list(read_rows(target, table))
    assert sorted(row["count"] for row in rows) == list(range(100, 100 + len(keys)))
    assert {None, "/a", "/A", "/a ", "", "\U0001f600"} <= {row["action"] for row in rows}
    if target.dialect == "sqlite":
        assert {row["action"] for row in rows} >= set(keys) - {"(null)"}


def test_what_is_no_number_or_no_text_is_kept_as_written_down(target: DatabaseUrl) -> None:
    table = new_name()
    text = pa.array([b"a\0b", b"bad \xff", b"x" * 100_000], pa.binary()).view(pa.string())
    rows = pa.table({"id": [1, 2, 3], "ratio": [float("nan"), float("inf"), -float("inf")], "text": text})
    write_batch(target, table, ["id"], rows, query_id=None)
    found = [(row["ratio"], row["text"]) for row in read_rows(target, table)]
    assert found == [(None, "a\ufffdb"), (None, "bad \ufffd"), (None, "x" * 100_000)]


def test_keys_of_stray_bytes_stay_apart(target: DatabaseUrl) -> None:
    table = new_name()
    texts = pa.array([b"\xff", b"\xfe", b"ok"], pa.binary()).view(pa.string())
    write_batch(target, table, ["text"], pa.table({"text": texts, "n": [1, 2, 3]}), query_id=None)
    assert sorted(row["n"] for row in read_rows(target, table)) == [1, 2, 3]


def test_a_table_that_is_only_key_takes_rows_again(target: DatabaseUrl) -> None:
    table = new_name()
    for _ in range(2):
        write_batch(target, table, ["url"], pa.table({"url": ["/a", "/b"]}), query_id=None)
    assert [row["url"] for row in read_rows(target, table)] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("rows", "key", "error", "text"),
    [
        (counts(["a", "a"], [1, 2]), KEY, SinkError, "2 rows of the result have the same key"),
        (pa.table({"at": pa.array([None], INSTANT), "n": [1]}), ["at"], SinkError, "key 'at' has no value"),
        (pa.table({"n": [1]}), [], OptionError, "the key is empty"),
        (pa.table({"n": [1]}), ["m"], OptionError, "key 'm': the result has no such column; it has n"),
        (pa.table({"x": [1.5]}), ["x"], OptionError, "key 'x': double cannot be part of a key"),
        (pa.table({"n": [1], "l": [[1]]}), ["n"], OptionError, "column 'l' is list<item: int64>"),
        (pa.table({"n": [1], "t": pa.array([0], pa.timestamp("us"))}), ["n"], OptionError, "time without a zone"),
        (pa.table({"n": [1], "t": pa.array([2**60], INSTANT)}), ["n"], SinkError, "beyond the years 1 to 9999"),
        (pa.table([[1], [2]], names=["n", "n"]), ["n"], OptionError, "two columns of the same name: n"),
    ],
)
def test_a_result_that_no_table_can_hold_is_refused(
    rows: pa.Table, key: Sequence[str], error: type[Exception], text: str, target: DatabaseUrl
) -> None:
    with pytest.raises(error, match=text.replace("(", r"\(").replace("<", r"\<")):
        write_batch(target, new_name(), key, rows, query_id=None)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 64, "naïve", "1st"])
def test_a_name_that_no_table_should_have_is_refused(name: str, target: DatabaseUrl) -> None:
    with pytest.raises(OptionError, match="a name has letters, digits and underscores"):
        write_batch(target, name, ["n"], pa.table({"n": [1]}), query_id=None)


def test_reading_what_is_not_there_says_so(target: DatabaseUrl) -> None:
    write_batch(target, new_name(), ["n"], pa.table({"n": [1]}), query_id=None)
    with pytest.raises(SinkError, match="the table nowhere does not exist"):
        list(read_rows(target, "nowhere"))
