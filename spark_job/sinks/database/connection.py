"""An open database: transactions that are stored whole or not at all, and repeated after an outage."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from spark_job.errors import SinkError
from spark_job.sinks.database.retry import OutageRetry, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from sqlalchemy import URL, Connection, Engine

    from spark_job.sinks.database.url import DatabaseUrl

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10
BUSY_TIMEOUT_S = 30
READS = "headrace_reads"
"""Execution option of a connection that only reads, so that it does not lock out writers."""


class Database:
    """A database over at most one connection. One thread at a time may use it; close it, or use ``with``.

    Args:
        url: of the database.
        keep_connection: reuse the connection for the next transaction. Otherwise each opens and closes its own.

    Raises:
        OptionError: the password cannot be read.
    """

    def __init__(self, url: DatabaseUrl, *, keep_connection: bool = True) -> None:
        self.url = url
        self._retry = OutageRetry(url.retry_for)
        self._engine = _engine(url.with_password(), keep_connection=keep_connection)

    @property
    def dialect(self) -> str:
        """Return the kind of the database, as the URL says."""
        return self.url.dialect

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in a transaction and commit it. After an outage, repeat all of it on a new connection.

        Raises:
            SinkError: the database is away for too long, or refuses.
        """

        def attempt() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        with self._errors():
            return self._retry.run(attempt, str(self.url))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that reads one consistent state.

        Connecting is retried during an outage; an error after that ends the reading.

        Raises:
            SinkError: the database is away for too long, refuses, or is a file that does not exist.
        """
        if self.dialect == "sqlite" and not Path(self._engine.url.database or "").is_file():
            raise SinkError(f"{self.url}: the file does not exist")
        with self._errors():
            connection = self._retry.run(self._begin_reading, str(self.url))
            with connection:
                yield connection

    def _begin_reading(self) -> Connection:
        connection = self._engine.connect()
        try:
            if self.dialect == "sqlite":
                return connection.execution_options(**{READS: True})
            return connection.execution_options(isolation_level="REPEATABLE READ")
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise SinkError(f"{self.url}: {reason_of(error)}") from error

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _engine(url: URL, *, keep_connection: bool) -> Engine:
    backend = url.get_backend_name()
    arguments: dict[str, Any]
    if backend == "sqlite":
        arguments = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None}
    elif backend == "postgresql":
        # Keep-alive detects a server whose machine is gone. The job's own watch detects one that hangs.
        arguments = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "headrace",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
    else:
        # Without a strict mode, MariaDB and MySQL change a value that does not fit instead of refusing it.
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "charset": "utf8mb4", "sql_mode": "TRADITIONAL"}
    # One connection, as the class promises. The ping finds out before a transaction that the server has restarted
    # since.
    pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_pre_ping": backend != "sqlite"}
    engine = create_engine(
        url,
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
        # The values are what strangers wrote into their requests, and must not get into error texts.
        hide_parameters=True,
        **(pool if keep_connection else {"poolclass": NullPool}),
        **({} if backend == "sqlite" else {"isolation_level": "READ COMMITTED"}),
    )
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Let others read while one writes (WAL), and make a commit wait for the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # The driver begins only before the first change; by then another process may have changed what was read.
    reads = connection.get_execution_options().get(READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
