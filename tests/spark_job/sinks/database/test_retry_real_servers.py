"""Outages of real servers: stopped and started, hanging, too many connections, a password that was changed."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import SinkError
from spark_job.sinks.database import Database, parse_database_url, read_rows, write_batch
from spark_job.sinks.database.write import TableWriter
from tests.support.databases import MariaDB, PostgreSQL, Server, running
from tests.support.results import counts, ledger_of, new_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = ("action", "window")
SCHEMA = counts([], []).schema
SERVERS = [
    pytest.param(PostgreSQL, marks=pytest.mark.postgresql),
    pytest.param(MariaDB, marks=pytest.mark.mariadb),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of the test's own, since it will be stopped."""
    with running(request.param) as found:
        yield found


def test_a_stopped_server_is_waited_for(server: Server) -> None:
    with Database(server.target) as database, ThreadPoolExecutor(1) as pool:
        writer = TableWriter(database, "actions", SCHEMA, KEY, create=True)
        writer.write(counts(["a"], [1]), query_id="q", batch_id=0)
        server.stop()
        second = pool.submit(writer.write, counts(["a", "b"], [2, 1]), query_id="q", batch_id=1)
        server.start()
        assert second.result(timeout=60) == 2
    assert ledger_of(server.target, "q") == [(1, 2)]


def test_a_hanging_server_is_waited_for(server: Server) -> None:
    with Database(server.target) as database, ThreadPoolExecutor(1) as pool:
        writer = TableWriter(database, "actions", SCHEMA, KEY, create=True)
        with server.suspended():
            batch = pool.submit(writer.write, counts(["a"], [1]), query_id="q", batch_id=0)
            with pytest.raises(TimeoutError):
                batch.result(timeout=1)
        assert batch.result(timeout=60) == 1


def test_an_outage_that_is_too_long_is_said_and_nothing_is_stored(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    target = replace(server.target, retry_for=timedelta(seconds=1))
    with Database(target) as database:
        writer = TableWriter(database, "actions", SCHEMA, KEY, create=True)
        server.stop()
        with pytest.raises(SinkError) as given_up:
            writer.write(counts(["a"], [1]), query_id="q")
        server.start()
    assert str(server.target) in str(given_up.value)
    assert "trying again for 1 s" in capsys.readouterr().err
    assert list(read_rows(server.target, "actions")) == []


def test_a_wrong_password_is_said_at_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "password").write_text("wrong\n", encoding="utf-8")
    with pytest.raises(SinkError, match=r"(?i)password") as refused:
        write_batch(
            parse_database_url(server.url, tmp_path / "password"), "actions", KEY, counts(["a"], [1]), query_id="q"
        )
    assert "wrong" not in str(refused.value)
    assert capsys.readouterr().err == ""


def test_two_drivers_of_one_query_store_each_batch_once(server: Server) -> None:
    together = threading.Barrier(4)

    def drive(number: int) -> int:
        with Database(server.target) as database:
            writer = TableWriter(database, "actions", SCHEMA, KEY, create=True)
            written = 0
            for batch_id in range(20):
                together.wait(timeout=60)
                written += writer.write(counts(["a", f"of {number}"], [batch_id, 1]), query_id="q", batch_id=batch_id)
            return written

    with ThreadPoolExecutor(4) as pool:
        written = sum(pool.map(drive, range(4)))
    assert written == 40
    assert ledger_of(server.target, "q") == [(19, 2)]


def test_writers_without_a_query_do_not_stop_each_other_for_good(server: Server) -> None:
    names = [f"key {number:04d}" for number in range(200)]

    def drive(number: int) -> None:
        ordered = names if number % 2 else names[::-1]
        with Database(server.target) as database:
            writer = TableWriter(database, "actions", SCHEMA, KEY, create=True)
            for batch_id in range(5):
                writer.write(counts(ordered, range(200)), query_id=None, batch_id=batch_id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(drive, range(4)))
    assert len(list(read_rows(server.target, "actions"))) == 200


def test_writers_of_other_tables_share_the_ledger(server: Server) -> None:
    together = threading.Barrier(4)

    def drive(number: int) -> None:
        with Database(server.target) as database:
            together.wait(timeout=60)
            for table in range(5):
                writer = TableWriter(database, f"actions_{table}_{number}", SCHEMA, KEY, create=True)
                for batch_id in range(5):
                    writer.write(counts(["a"], [batch_id]), query_id=f"q{number}", batch_id=batch_id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(drive, range(4)))
    for number in range(4):
        assert ledger_of(server.target, f"q{number}") == [(4, 1)] * 5


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    target = parse_database_url(f"sqlite:///{tmp_path / 'results.db'}")
    table = new_name()
    write_batch(target, table, KEY, counts(["a"], [1]), query_id="q", batch_id=0)
    other = sqlite3.connect(tmp_path / "results.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(write_batch, target, table, KEY, counts(["a"], [2]), query_id="q", batch_id=1)
        with pytest.raises(TimeoutError):
            batch.result(timeout=0.3)
        assert [row["count"] for row in read_rows(target, table)] == [1]
        other.execute("ROLLBACK")
        assert batch.result(timeout=60) == 1
    other.close()
