"""An open database: what a transaction leaves behind, what a reader sees, and what an error says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from spark_job.errors import SinkError
from spark_job.sinks.database import Database, DatabaseUrl, parse_database_url
from tests.support.results import execute

if TYPE_CHECKING:
    from pathlib import Path

INSERT = sa.text("INSERT INTO t VALUES (:n)")


@pytest.fixture
def file(tmp_path: Path) -> DatabaseUrl:
    """A SQLite file with an empty table."""
    url = parse_database_url(f"sqlite:///{tmp_path / 'a.db'}", retry_for=timedelta(seconds=30))
    execute(url, "CREATE TABLE t (n INTEGER PRIMARY KEY)")
    return url


def numbers(url: DatabaseUrl) -> list[int]:
    return [n for (n,) in execute(url, "SELECT n FROM t ORDER BY n")]


def path_of(url: DatabaseUrl) -> str:
    return str(url).removeprefix("sqlite:///")


def test_a_transaction_is_stored_whole_and_gives_its_result(file: DatabaseUrl) -> None:
    def work(connection: sa.Connection) -> str:
        connection.execute(INSERT, [{"n": 1}, {"n": 2}])
        assert numbers(file) == [], "others see nothing before the commit"
        return "done"

    with Database(file) as database:
        assert database.transaction(work) == "done"
        assert numbers(file) == [1, 2]


def test_work_that_fails_leaves_nothing_and_its_own_error_passes(file: DatabaseUrl) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(INSERT, {"n": 1})
        raise ZeroDivisionError

    with Database(file) as database:
        with pytest.raises(ZeroDivisionError):
            database.transaction(work)
        assert numbers(file) == []


def test_an_outage_repeats_all_of_the_work(file: DatabaseUrl, capsys: pytest.CaptureFixture[str]) -> None:
    tries: list[int] = []

    def work(connection: sa.Connection) -> None:
        tries.append(len(tries))
        connection.execute(INSERT, {"n": tries[-1]})
        if len(tries) < 3:
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    with Database(file) as database:
        database.transaction(work)
    assert (tries, numbers(file)) == ([0, 1, 2], [2])
    assert str(file) in capsys.readouterr().err


def test_an_error_names_the_database_and_hides_the_values(file: DatabaseUrl) -> None:
    with Database(file) as database:
        database.transaction(lambda connection: connection.execute(INSERT, {"n": 4711}))
        with pytest.raises(SinkError) as refused:
            database.transaction(lambda connection: connection.execute(INSERT, {"n": 4711}))
    assert str(refused.value) == f"{file}: UNIQUE constraint failed: t.n"
    assert "4711" not in str(refused.value.__cause__)


def test_a_reader_sees_one_state_and_stops_no_writer(file: DatabaseUrl) -> None:
    count = sa.text("SELECT count(*) FROM t")
    with Database(file) as one, Database(file) as other:
        with one.reading() as connection:
            assert connection.scalar(count) == 0
            other.transaction(lambda writing: writing.execute(INSERT, {"n": 1}))
            assert connection.scalar(count) == 0
        with one.reading() as connection:
            assert connection.scalar(count) == 1


def test_a_writer_locks_before_it_reads(file: DatabaseUrl) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text("SELECT count(*) FROM t"))
        with (
            closing(sqlite3.connect(path_of(file), timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")

    with Database(file) as database:
        database.transaction(work)


def test_reading_a_missing_file_does_not_create_it(tmp_path: Path) -> None:
    url = parse_database_url(f"sqlite:///{tmp_path / 'none.db'}")
    with (
        Database(url) as database,
        pytest.raises(SinkError, match=r"none\.db: the file does not exist"),
        database.reading(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [True, False])
def test_the_connection_stays_open_only_if_it_is_kept(file: DatabaseUrl, *, keep: bool) -> None:
    def is_open() -> bool:
        return path_of(file) in {opened.path for opened in psutil.Process().open_files()}

    with Database(file, keep_connection=keep) as database:
        database.transaction(lambda connection: connection.execute(INSERT, {"n": 1}))
        assert is_open() == keep
    assert not is_open()


def test_a_commit_waits_for_the_disk_and_lets_others_read(file: DatabaseUrl) -> None:
    with Database(file) as database, database.reading() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA synchronous")) == 2
