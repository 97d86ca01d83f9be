"""What passes by itself is waited for, for a limited time; everything else is said at once."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import psycopg
import pymysql
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from spark_job.sinks.database.retry import OutageRetry, is_transient, reason_of


def of_postgresql(state: str | None, text: str = "") -> OperationalError:
    cause = psycopg.OperationalError(text)
    cause.sqlstate = state
    return OperationalError("INSERT ...", {}, cause)


def of_mariadb(number: int, text: str = "") -> OperationalError:
    return OperationalError("INSERT ...", {}, pymysql.err.OperationalError(number, text))


@pytest.mark.parametrize(
    "error",
    [
        *(of_postgresql(state) for state in ("08006", "57P01", "57P03", "40001", "40P01", "53300", "55P03")),
        of_postgresql(None, "connection failed: Connection refused"),
        of_postgresql(None, "consuming input failed: server closed the connection unexpectedly"),
        *(of_mariadb(number) for number in (2003, 2006, 2013, 1040, 1205, 1213, 1927)),
        InterfaceError("SELECT 1", {}, pymysql.err.InterfaceError(0, "")),
        OperationalError("BEGIN IMMEDIATE", {}, sqlite3.OperationalError("database is locked")),
    ],
)
def test_an_outage_passes(error: DBAPIError) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        of_postgresql("53100"),
        of_postgresql("28P01"),
        of_postgresql(None, 'connection failed: FATAL:  password authentication failed for user "counter"'),
        of_postgresql(None, 'connection failed: FATAL:  database "counts" does not exist'),
        ProgrammingError("INSERT ...", {}, psycopg.errors.InsufficientPrivilege("permission denied")),
        of_mariadb(1045, "Access denied"),
        of_mariadb(1049, "Unknown database"),
        IntegrityError("INSERT ...", {}, sqlite3.IntegrityError("NOT NULL constraint failed")),
        OperationalError("INSERT ...", {}, sqlite3.OperationalError("disk I/O error")),
        ValueError("no error of a database"),
    ],
)
def test_a_refusal_stays(error: Exception) -> None:
    assert not is_transient(error)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []
        self.said: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds

    def retry(self, retry_for_s: float) -> OutageRetry:
        return OutageRetry(timedelta(seconds=retry_for_s), lambda: self.now_s, self.sleep, self.said.append)


def test_an_outage_is_outlasted_with_longer_and_longer_waits() -> None:
    time = Time()

    def work() -> str:
        if time.now_s < 20:
            raise of_postgresql("57P03", "the database system is starting up\nDETAIL: ...")
        return "done"

    assert time.retry(60).run(work, "postgresql://db/counts") == "done"
    assert time.waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert time.said == [
        "postgresql://db/counts: the database system is starting up; trying again for 60 s",
        "postgresql://db/counts: answers again after 21 s",
    ]


def test_the_time_is_counted_from_the_first_failure_and_bounds_it() -> None:
    time = Time()

    def work() -> None:
        raise of_mariadb(2003, "Can't connect")

    with pytest.raises(OperationalError):
        time.retry(3).run(work, "mariadb://db/counts")
    assert time.now_s == 3
    assert sum(time.waits) == 3


def test_without_time_there_is_one_try() -> None:
    time, tries = Time(), []

    def work() -> None:
        tries.append(1)
        raise of_mariadb(2003)

    with pytest.raises(OperationalError):
        time.retry(0).run(work, "mariadb://db/counts")
    assert len(tries) == 1


def test_what_stays_is_tried_once() -> None:
    time, tries = Time(), []

    def work() -> None:
        tries.append(1)
        raise of_mariadb(1045, "Access denied")

    with pytest.raises(OperationalError):
        time.retry(60).run(work, "mariadb://db/counts")
    assert (len(tries), time.said) == (1, [])


def test_what_a_database_says_is_told_without_the_values_of_rows() -> None:
    cause = psycopg.errors.UniqueViolation("duplicate key value\nDETAIL:  Key (url)=(/evil) already exists.")
    assert reason_of(IntegrityError("INSERT ... /evil", {"url": "/evil"}, cause)) == "duplicate key value"
    assert reason_of(of_mariadb(1045, "Access denied")) == "Access denied"
