"""Real PostgreSQL and MariaDB servers on private ports, with data folders of their own, asking for a password.

Both refuse to run as root. A test that runs as root hands the folder to a user of no other rights and starts the server
as that one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psutil
import pymysql
import pytest

from spark_job.sinks.database import DatabaseUrl, parse_database_url
from tests.support.ports import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPRIVILEGED = "nobody"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
USER, DATABASE = "counter", "counts"
# What a URL has to escape, so that a password is seen to be taken as it is.
PASSWORD = "p@ss/w:rd %1"  # noqa: S105 - of a server that lives for one test


@dataclass
class Server:
    """A database server; the subclasses say how it is made and started."""

    folder: Path
    port: int
    password_file: Path
    process: psutil.Popen | None = None

    scheme: ClassVar[str]

    @property
    def url(self) -> str:
        """The URL without a password."""
        return f"{self.scheme}://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def target(self) -> DatabaseUrl:
        """The server as the sink takes it."""
        return parse_database_url(self.url, self.password_file)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = psutil.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder, **as_unprivileged())
        wait_until(self.answers, START_TIMEOUT_S, f"{self.scheme} to answer")

    def stop(self) -> None:
        """Stop it as an operator does: open connections are closed, what was committed is on disk."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal())
            self.process.wait(STOP_TIMEOUT_S)
            self.process = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let every process of the server hang: connections stay open and nothing is answered."""
        assert self.process is not None
        hanging = [self.process, *self.process.children(recursive=True)]
        for process in hanging:
            process.suspend()
        try:
            yield
        finally:
            for process in hanging:
                process.resume()

    def answers(self) -> bool:
        """Say whether the server takes connections."""
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"{self.scheme} has ended:\n{(self.folder / 'server.log').read_text()[-2000:]}")
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0 and self.is_ready()

    def command(self) -> list[str]:
        """Return the command that starts it in the foreground."""
        raise NotImplementedError

    def stop_signal(self) -> signal.Signals:
        """Return the signal that stops it in order, without waiting for clients."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Say whether it is more than a port."""
        raise NotImplementedError

    def create(self) -> None:
        """Make the data folder."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make user and database, once the server runs for the first time."""


class PostgreSQL(Server):
    """PostgreSQL from Debian's package. What a kill of the server itself would lose is not asked here: no fsync."""

    scheme = "postgresql"

    def create(self) -> None:
        """Make the data folder, in a locale and a time zone that nothing may depend on."""
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        options += ["--username", USER, "--pwfile", str(self.password_file)]
        run([program("initdb"), "-D", str(self.folder / "data"), *options])

    def command(self) -> list[str]:
        """Return the command that starts it in the foreground."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "TimeZone": "Asia/Kolkata",
            "max_connections": 20,
            "shared_buffers": "16MB",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [program("postgres"), "-D", str(self.folder / "data"), *flags]

    def stop_signal(self) -> signal.Signals:
        """Return SIGINT, its fast shutdown."""
        return signal.SIGINT

    def is_ready(self) -> bool:
        """Ask as its own tool does."""
        asked = subprocess.run(
            [program("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True, check=False
        )
        return asked.returncode == 0

    def prepare(self) -> None:
        """Make the database."""
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        command = [program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, DATABASE]
        subprocess.run(command, check=True, capture_output=True, env=environment)


class MariaDB(Server):
    """MariaDB from Debian's package."""

    scheme = "mariadb"

    def create(self) -> None:
        """Make the data folder; root may come through the socket without a password."""
        options = [f"--datadir={self.folder / 'data'}", "--skip-test-db", "--auth-root-authentication-method=normal"]
        run([program("mariadb-install-db"), "--no-defaults", *options])

    def command(self) -> list[str]:
        """Return the command that starts it in the foreground."""
        options = {
            "datadir": self.folder / "data",
            "socket": self.socket,
            "pid-file": self.folder / "pid",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "skip-name-resolve": "ON",
            "default-time-zone": "+05:30",
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-buffer-pool-size": "32M",
            "max-connections": 20,
        }
        return [program("mariadbd"), "--no-defaults", *(f"--{name}={value}" for name, value in options.items())]

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / "s"

    def stop_signal(self) -> signal.Signals:
        """Return SIGTERM, its normal shutdown."""
        return signal.SIGTERM

    def is_ready(self) -> bool:
        """Connect as root, which only the socket allows."""
        try:
            pymysql.connect(unix_socket=str(self.socket), user="root").close()
        except pymysql.err.OperationalError:
            return False
        return True

    def prepare(self) -> None:
        """Make user and database."""
        with pymysql.connect(unix_socket=str(self.socket), user="root") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (USER, PASSWORD))
            cursor.execute(f"GRANT ALL ON {DATABASE}.* TO %s@'%%'", (USER,))


@contextmanager
def running(kind: type[Server]) -> Iterator[Server]:
    """Make, start and at the end remove a server."""
    folder = Path(tempfile.mkdtemp(prefix=f"headrace-{kind.scheme}-"))
    server = kind(folder, free_port(), folder / "password")
    try:
        server.password_file.write_text(f"{PASSWORD}\n", encoding="utf-8")
        give_away(folder)
        server.create()
        server.start()
        server.prepare()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for all tests of a run."""
    with running(PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server for all tests of a run."""
    with running(MariaDB) as server:
        yield server


def missing_program(kind: str) -> str:
    """Return why a kind of server cannot be started here, an empty text when it can."""
    name, package = {"postgresql": ("postgres", "postgresql"), "mariadb": ("mariadbd", "mariadb-server")}[kind]
    return "" if find_program(name) else f"needs {name}: on Debian `sudo apt-get install {package}`"


def find_program(name: str) -> str | None:
    """Return the path of a server's program; Debian keeps those of PostgreSQL away from the PATH."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    beyond = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return str(kept[0]) if kept else beyond


def program(name: str) -> str:
    """Return the path of a program that is there."""
    found = find_program(name)
    assert found, f"{name} is not installed"
    return found


def run(command: list[str]) -> None:
    """Run a program as the server's user, and show what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **as_unprivileged())
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}"


def as_unprivileged() -> dict[str, Any]:
    """Return what starts a process as the user without rights, where we are root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid}


def give_away(folder: Path) -> None:
    """Hand a folder and what is in it to the user without rights, where we are root."""
    if os.getuid() == 0:
        entry = pwd.getpwnam(UNPRIVILEGED)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, entry.pw_uid, entry.pw_gid)
