"""The ledger holds the newest stored batch of each query in each table, and only if its transaction ended well."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from spark_job.errors import OptionError
from spark_job.sinks.database import Database, DatabaseUrl, parse_database_url, read_rows
from spark_job.sinks.database.ledger import NAME, NONE_YET, newest_batch, prepare_ledger, record_batch, stored_batch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def query(database: Database) -> str:
    """The id of a query that no other test has; the ledger exists."""
    prepare_ledger(database, create=True)
    return str(uuid.uuid4())


def record(database: Database, query: str, table: str, batch_id: int) -> int:
    """Record a batch of ten rows; return the newest batch before it."""

    def work(connection: sa.Connection) -> int:
        newest = newest_batch(connection, query, table)
        record_batch(connection, query, table, batch_id, 10)
        return newest

    return database.transaction(work)


def test_each_query_has_a_newest_batch_in_each_table(database: Database, query: str) -> None:
    assert [record(database, query, "a", number) for number in (0, 1, 2)] == [NONE_YET, 0, 1]
    assert record(database, query, "b", 7) == NONE_YET
    assert record(database, str(uuid.uuid4()), "a", 0) == NONE_YET
    assert [stored_batch(database, query, table) for table in ("a", "b", "c")] == [2, 7, NONE_YET]


def test_an_entry_has_its_rows_and_its_time(database: Database, query: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    record(database, query, "a", 2**40)
    (row,) = [row for row in read_rows(database, NAME) if row["query_id"] == query]
    assert (row["table_name"], row["batch_id"], row["row_count"]) == ("a", 2**40, 10)
    assert before <= row["stored_at"] <= datetime.now(UTC)


def test_a_transaction_that_fails_records_nothing(database: Database, query: str) -> None:
    record(database, query, "a", 0)

    def work(connection: sa.Connection) -> None:
        newest_batch(connection, query, "b")
        record_batch(connection, query, "a", 1, 10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transaction(work)
    assert (stored_batch(database, query, "a"), stored_batch(database, query, "b")) == (0, NONE_YET)


def test_looking_without_a_lock_does_not_wait_for_a_writer(target: DatabaseUrl, database: Database, query: str) -> None:
    record(database, query, "a", 0)

    def work(connection: sa.Connection) -> int:
        newest_batch(connection, query, "a")
        record_batch(connection, query, "a", 1, 10)
        with Database(target) as other:
            return stored_batch(other, query, "a")

    assert database.transaction(work) == 0
    assert stored_batch(database, query, "a") == 1


def test_preparing_the_ledger_again_keeps_it(database: Database, query: str) -> None:
    record(database, query, "a", 5)
    prepare_ledger(database, create=True)
    prepare_ledger(database, create=False)
    assert stored_batch(database, query, "a") == 5


def test_without_a_ledger_no_batch_is_stored_and_none_is_created(tmp_path: Path) -> None:
    with Database(parse_database_url(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        database.transaction(lambda connection: connection.execute(sa.text("CREATE TABLE t (n INTEGER)")))
        assert stored_batch(database, "q", "t") == NONE_YET
        with pytest.raises(OptionError, match=f"the table {NAME} does not exist"):
            prepare_ledger(database, create=False)
        with database.reading() as connection:
            assert sa.inspect(connection).get_table_names() == ["t"]
