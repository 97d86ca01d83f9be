"""A table has one writer: a second one is refused or adopts it, whichever of them comes first, waits or is killed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from spark_job.errors import OptionError
from spark_job.sinks.database import Database, DatabaseUrl, parse_database_url, read_rows
from spark_job.sinks.database.ledger import NAME, NONE_YET, newest_batch, prepare_ledger, record_batch, stored_batch
from spark_job.sinks.database.ownership import BATCH_WRITES, LOCK, TableOwnership
from spark_job.sinks.database.write import TableWriter
from tests.support.results import counts, new_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = ("action", "window")
SCHEMA = counts([], []).schema
MOMENT_S = 0.3


@pytest.fixture
def table() -> str:
    """The name of a table that no other test has."""
    return new_name()


def writer(database: Database, table: str, *, adopt: bool = False) -> TableWriter:
    return TableWriter(database, table, SCHEMA, KEY, create=True, adopt=adopt)


def stored(database: Database, table: str) -> dict[str, int]:
    return {row["action"]: row["count"] for row in read_rows(database, table)}


def entries(database: Database, table: str) -> dict[str, int]:
    """Return the newest batch of each query that the ledger has for a table, without the row that locks."""
    rows = [row for row in read_rows(database, NAME) if row["table_name"] == table]
    return {row["query_id"]: row["batch_id"] for row in rows if row["query_id"] != LOCK}


def write_and_hold(
    target: DatabaseUrl, table: str, query: str, inside: threading.Event, go_on: threading.Event, **given: Any
) -> None:
    """Claim a table and stay inside the transaction until ``go_on``."""

    def work(connection: sa.Connection, newest: int) -> None:
        record_batch(connection, query, table, newest + 1, 0)
        inside.set()
        assert go_on.wait(60)

    with Database(target) as database:
        TableOwnership(database, table, create=True, **given).transaction(query, work)


def test_a_second_writer_is_refused_and_the_first_goes_on(database: Database, table: str) -> None:
    first, second = writer(database, table), writer(database, table)
    first.write(counts(["a"], [1000]), query_id="first", batch_id=16)
    with pytest.raises(OptionError) as refused:
        second.write(counts(["a"], [7]), query_id="second", batch_id=0)
    said = str(refused.value)
    assert said.startswith(f"{database.url}: the table {table} belongs to the writer first (newest batch: number 16, ")
    assert "--adopt-table (in a program: adopt=True)" in said
    assert stored(database, table) == {"a": 1000}
    assert entries(database, table) == {"first": 16}
    assert first.write(counts(["a"], [1001]), query_id="first", batch_id=17) == 1
    assert writer(database, table).write(counts(["a"], [1002]), query_id="first", batch_id=18) == 1, "after a restart"


def test_a_writer_that_adopts_the_table_shuts_the_other_one_out(database: Database, table: str) -> None:
    old, new = writer(database, table), writer(database, table, adopt=True)
    old.write(counts(["a", "b"], [1, 2]), query_id="old", batch_id=5)
    assert new.write(counts(["a"], [7]), query_id="new", batch_id=0) == 1
    assert entries(database, table) == {"new": 0}
    for batch_id in (5, 6):
        with pytest.raises(OptionError, match=r"belongs to the writer new \(newest batch: number 0, last written 20"):
            old.write(counts(["a"], [99]), query_id="old", batch_id=batch_id)
    assert writer(database, table).write(counts(["a"], [8]), query_id="new", batch_id=1) == 1
    assert stored(database, table) == {"a": 8, "b": 2}


def test_two_that_may_adopt_do_not_take_the_table_from_each_other_for_ever(database: Database, table: str) -> None:
    one, two = writer(database, table, adopt=True), writer(database, table, adopt=True)
    one.write(counts(["a"], [1]), query_id="one", batch_id=0)
    two.write(counts(["a"], [2]), query_id="two", batch_id=0)
    with pytest.raises(OptionError, match="belongs to the writer two"):
        one.write(counts(["a"], [3]), query_id="one", batch_id=1)
    assert two.write(counts(["a"], [4]), query_id="two", batch_id=1) == 1


def test_an_adoption_that_fails_changes_nothing_and_may_be_tried_again(database: Database, table: str) -> None:
    writer(database, table).write(counts(["a"], [1]), query_id="old", batch_id=3)
    new = TableOwnership(database, table, create=True, adopt=True)

    def work(_connection: sa.Connection, _newest: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        new.transaction("new", work)
    assert entries(database, table) == {"old": 3}
    assert new.transaction("new", lambda _connection, newest: newest) == NONE_YET
    assert entries(database, table) == {"new": NONE_YET}


def test_of_two_that_write_first_one_waits_and_is_refused(target: DatabaseUrl, table: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    with Database(target) as database:
        prepare_ledger(database, create=True)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(write_and_hold, target, table, "first", inside, go_on)
            assert inside.wait(60)
            second = pool.submit(write_and_hold, target, table, "second", threading.Event(), go_on)
            with pytest.raises(TimeoutError):
                second.result(timeout=MOMENT_S)
            go_on.set()
            first.result(timeout=60)
            with pytest.raises(OptionError, match=r"belongs to the writer first \(newest batch: number 0"):
                second.result(timeout=60)
        assert entries(database, table) == {"first": 0}


def test_of_many_that_write_first_one_owns_the_table(target: DatabaseUrl, table: str) -> None:
    together = threading.Barrier(4)

    def drive(number: int) -> int:
        with Database(target) as database:
            mine = writer(database, table)
            together.wait(timeout=60)
            try:
                return sum(
                    mine.write(counts([f"of {number}"], [batch_id]), query_id=f"q{number}", batch_id=batch_id)
                    for batch_id in range(5)
                )
            except OptionError:
                return 0

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(drive, range(4)))
    assert sorted(written) == [0, 0, 0, 5]
    with Database(target) as database:
        winner = written.index(5)
        assert stored(database, table) == {f"of {winner}": 4}
        assert entries(database, table) == {f"q{winner}": 4}


def test_an_adoption_waits_for_the_batch_that_the_owner_is_storing(target: DatabaseUrl, table: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    with Database(target) as database:
        writer(database, table).write(counts(["a"], [1]), query_id="old", batch_id=0)
        with ThreadPoolExecutor(2) as pool:
            old = pool.submit(write_and_hold, target, table, "old", inside, go_on)
            assert inside.wait(60)
            new = pool.submit(write_and_hold, target, table, "new", threading.Event(), go_on, adopt=True)
            with pytest.raises(TimeoutError):
                new.result(timeout=MOMENT_S)
            go_on.set()
            old.result(timeout=60)
            new.result(timeout=60)
        assert entries(database, table) == {"new": 0}


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
    indirect=True,
)
@pytest.mark.parametrize("known", [False, True], ids=["first batch", "second batch"])
def test_writers_of_other_tables_do_not_wait(target: DatabaseUrl, table: str, *, known: bool) -> None:
    inside, go_on = threading.Event(), threading.Event()
    before, after = (f"{end}{table[2:]}" for end in "az")
    with Database(target) as database, ThreadPoolExecutor(2) as pool:
        for each in (before, table, after) if known else ():
            writer(database, each).write(counts(["a"], [1]), query_id="q", batch_id=0)
        prepare_ledger(database, create=True)
        held = pool.submit(write_and_hold, target, table, "q", inside, go_on)
        assert inside.wait(60)
        try:
            for each in (before, after):
                mine = writer(database, each)
                written = pool.submit(mine.write, counts(["a"], [2]), query_id="q", batch_id=1)
                assert written.result(timeout=20) == 1
        finally:
            go_on.set()
        held.result(timeout=60)


def test_a_batch_without_a_query_is_refused_and_owns_nothing(database: Database, table: str) -> None:
    once = writer(database, table)
    for count in (1, 2):
        assert once.write(counts(["a"], [count]), query_id=None, replace=True) == 1
    live = writer(database, table)
    assert live.write(counts(["a"], [3]), query_id="live", batch_id=0) == 1
    with pytest.raises(OptionError, match="belongs to the writer live"):
        once.write(counts(["a"], [9]), query_id=None, replace=True)
    assert stored(database, table) == {"a": 3}
    assert entries(database, table) == {"live": 0}


def test_a_batch_that_adopts_the_table_shuts_the_query_out_and_no_other_batch(database: Database, table: str) -> None:
    live = writer(database, table)
    live.write(counts(["a", "b"], [1, 1]), query_id="live", batch_id=4)
    writer(database, table, adopt=True).write(counts(["a"], [2]), query_id=None, replace=True)
    assert entries(database, table) == {BATCH_WRITES: 0}
    with pytest.raises(OptionError, match=f"the table {table} belongs to a write of a batch"):
        live.write(counts(["a"], [9]), query_id="live", batch_id=5)
    writer(database, table).write(counts(["a"], [3]), query_id=None, replace=True)
    assert stored(database, table) == {"a": 3}
    again = writer(database, table, adopt=True)
    again.write(counts(["a"], [4]), query_id="another", batch_id=0)
    assert entries(database, table) == {"another": 0}


def test_a_batch_makes_no_ledger(tmp_path: Path) -> None:
    with Database(parse_database_url(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        for adopt in (False, True):
            writer(database, "t", adopt=adopt).write(counts(["a"], [1]), query_id=None)
        with database.reading() as connection:
            assert sa.inspect(connection).get_table_names() == ["t"]


def test_rows_without_a_number_need_the_table_but_are_not_recorded(database: Database, table: str) -> None:
    mine = writer(database, table)
    for count in (1, 2):
        assert mine.write(counts(["a"], [count]), query_id="q", batch_id=None) == 1
    assert (stored(database, table), stored_batch(database, "q", table)) == ({"a": 2}, NONE_YET)
    with pytest.raises(OptionError, match=r"belongs to the writer q \(newest batch: none stored"):
        writer(database, table).write(counts(["b"], [1]), query_id="other", batch_id=None)


def test_of_several_entries_of_an_earlier_version_that_of_the_first_writer_stays(
    database: Database, table: str
) -> None:
    prepare_ledger(database, create=True)

    def as_before(connection: sa.Connection) -> None:
        for query in ("lost", "kept"):
            newest_batch(connection, query, table)
            record_batch(connection, query, table, 8, 1)

    database.transaction(as_before)
    with pytest.raises(OptionError, match="belongs to the writer"):
        writer(database, table).write(counts(["a"], [1]), query_id="new", batch_id=0)
    assert entries(database, table) == {"lost": 8, "kept": 8}
    assert writer(database, table).write(counts(["a"], [1]), query_id="kept", batch_id=8) == 0, "stored already"
    assert entries(database, table) == {"kept": 8}


@pytest.mark.parametrize(
    ("query", "given", "refused"),
    [
        ("owner", {}, False),
        ("other", {}, True),
        (None, {}, True),
        ("other", {"adopt": True}, False),
        (None, {"adopt": True}, False),
    ],
)
def test_a_check_says_the_same_early_and_changes_nothing(
    database: Database, table: str, query: str | None, given: dict[str, bool], *, refused: bool
) -> None:
    mine = writer(database, table, **given)
    prepare_ledger(database, create=True)
    mine.check_owner(query)
    writer(database, table).write(counts(["a"], [1]), query_id="owner", batch_id=0)

    def is_refused(call: Callable[[], object]) -> bool:
        try:
            call()
        except OptionError:
            return True
        return False

    assert is_refused(lambda: mine.check_owner(query)) == refused
    assert entries(database, table) == {"owner": 0}
    assert is_refused(lambda: mine.write(counts(["a"], [2]), query_id=query, batch_id=1)) == refused


def test_a_check_needs_no_ledger(tmp_path: Path) -> None:
    with Database(parse_database_url(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        writer(database, "t").check_owner("q")
