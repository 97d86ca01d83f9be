"""An open database: transactions, each of them whole or not at all, that ride an outage out."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from spark_job.errors import SinkError
from spark_job.sinks.database.retry import Patience, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from sqlalchemy import URL, Connection, Engine

    from spark_job.sinks.database.url import Target

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10
BUSY_TIMEOUT_S = 30
READS = "headrace_reads"
"""Execution option of a connection that changes nothing, and so need not keep writers out."""


class Database:
    """A database over at most one connection. One thread at a time may use it; close it, or use ``with``.

    Args:
        target: which one.
        keep_connection: keep it from one transaction to the next. Without that there is nothing to close.

    Raises:
        OptionError: the password cannot be read.
    """

    def __init__(self, target: Target, *, keep_connection: bool = True) -> None:
        self.target = target
        self._patience = Patience(target.retry_for)
        self._engine = _engine(target.with_password(), keep_connection=keep_connection)

    @property
    def dialect(self) -> str:
        """Return the kind of the database, as the URL says."""
        return self.target.dialect

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in a transaction and commit it. After an outage all of it is done again, on a new connection.

        Raises:
            SinkError: the database is gone for too long, or refuses.
        """

        def attempt() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        with self._errors():
            return self._patience.outlast(attempt, str(self.target))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that reads the state of one moment.

        The connection is made with patience; once it is there, an error ends the reading.

        Raises:
            SinkError: the database is gone for too long, refuses, or is a file that is not there.
        """
        if self.dialect == "sqlite" and not Path(self._engine.url.database or "").is_file():
            raise SinkError(f"{self.target}: there is no such file")
        with self._errors():
            connection = self._patience.outlast(self._begin_reading, str(self.target))
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
            raise SinkError(f"{self.target}: {reason_of(error)}") from error

    def close(self) -> None:
        """Let go of the connection."""
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
        # Keep-alive finds a server whose machine is gone; one that hangs is the affair of the job's own watch.
        arguments = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "headrace",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
    else:
        # Without a strict mode a value that does not fit is changed until it does.
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "charset": "utf8mb4", "sql_mode": "TRADITIONAL"}
    pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_pre_ping": backend != "sqlite"}
    engine = create_engine(
        url,
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
        hide_parameters=True,
        **(pool if keep_connection else {"poolclass": NullPool}),
        **({} if backend == "sqlite" else {"isolation_level": "READ COMMITTED"}),
    )
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Let others read while one writes, and let a commit have reached the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # The driver would begin only before the first change, and by then another may have changed what was read.
    reads = connection.get_execution_options().get(READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
