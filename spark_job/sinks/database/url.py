"""Parses the URL of a database: ``sqlite:///counts.db``, ``postgresql://user@host/db``, ``mariadb://user@host/db``.

::

    sqlite:///PATH          relative to the working folder; sqlite:////PATH from the root
    postgresql://           psycopg; parameters after a ? go to libpq: ?sslmode=verify-full&sslrootcert=ca.pem
    mariadb:// mysql://     PyMySQL; ?ssl_ca=ca.pem

Anyone who lists processes sees a URL, and Spark's plans and logs contain it, so it must not hold the password. The
password is the first line of a file: the one named by ``--password-file``, or by the environment variable
HEADRACE_DATABASE_PASSWORD_FILE, as database images do it. Without either, the driver's own ways apply, such as libpq's
``~/.pgpass`` or a server that trusts a socket.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from headrace.common.suggest import nearest
from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_RETRY_FOR = timedelta(minutes=2)
PASSWORD_FILE_VARIABLE = "HEADRACE_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a variable, not a password
DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
    "mysql": "mysql+pymysql",
}
PASSWORD_PARAMETERS = frozenset({"password", "passwd", "sslpassword"})


@dataclass(frozen=True)
class DatabaseUrl:
    """A checked URL, from :func:`parse_database_url`. It holds no password, so it may be sent to executors.

    Attributes:
        url: the URL with its driver.
        password_file: file whose first line is the password.
        retry_for: how long to retry while the database is away.
    """

    url: str
    password_file: Path | None = None
    retry_for: timedelta = DEFAULT_RETRY_FOR

    @property
    def dialect(self) -> str:
        """Return ``sqlite``, ``postgresql``, ``mariadb`` or ``mysql``, as the URL says."""
        return self.url.partition("+")[0]

    def __str__(self) -> str:
        """Return the URL as the user gave it, for messages."""
        return self.url.replace(DRIVERS[self.dialect], self.dialect, 1)

    def with_password(self) -> URL:
        """Return the URL to connect with. The file is read each time, so that a changed password takes effect.

        Raises:
            OptionError: the file cannot be read, or its first line is empty.
        """
        url = make_url(self.url)
        if self.dialect == "sqlite" or self.password_file is None:
            return url
        try:
            first, *_ = self.password_file.read_text(encoding="utf-8").splitlines() or [""]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise OptionError(f"{self.password_file}: the password cannot be read: {reason}") from None
        if not first:
            raise OptionError(f"{self.password_file}: the first line is empty; it must be the password")
        return url.set(password=first)


def parse_database_url(
    url: str,
    password_file: Path | None = None,
    retry_for: timedelta = DEFAULT_RETRY_FOR,
    environment: Mapping[str, str] = os.environ,
) -> DatabaseUrl:
    """Check a URL without opening the database.

    Raises:
        OptionError: it cannot be used; the text says what to write instead, and repeats no password.
    """
    scheme = url.partition(":")[0]
    if scheme not in DRIVERS:
        near = nearest(scheme, DRIVERS, cutoff=0.4)
        hint = (
            f"did you mean {near}://?" if near else "the schemes are sqlite://, postgresql://, mariadb:// and mysql://"
        )
        raise OptionError(f"{scheme}://...: unknown kind of database; {hint}")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not quoted: a URL that cannot be parsed may contain a password.
        raise OptionError(f"{scheme}://...: not a URL; write it like {_example(scheme)}") from None
    if parsed.password is not None or PASSWORD_PARAMETERS & parsed.query.keys():
        raise OptionError(
            f"{scheme}://...: everyone on this machine can see a password in a URL; put it into a file instead, and "
            f"name that file with --password-file FILE or with the variable {PASSWORD_FILE_VARIABLE}"
        )
    if not parsed.database or parsed.database == ":memory:":
        what = "file" if scheme == "sqlite" else "database"
        raise OptionError(f"{url}: names no {what}; write it like {_example(scheme)}")
    if scheme == "sqlite":
        return DatabaseUrl(_sqlite_url(parsed), None, retry_for)
    named = password_file or (
        Path(environment[PASSWORD_FILE_VARIABLE]) if environment.get(PASSWORD_FILE_VARIABLE) else None
    )
    absolute = named.expanduser().absolute() if named is not None else None
    return DatabaseUrl(_text(parsed.set(drivername=DRIVERS[scheme])), absolute, retry_for)


def _sqlite_url(parsed: URL) -> str:
    if parsed.host:
        raise OptionError(f"{_text(parsed)}: a file has no host; write sqlite:/// and the path")
    path = Path(parsed.database or "").expanduser().absolute()
    if path.is_dir():
        raise OptionError(f"sqlite:///{path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OptionError(f"sqlite:///{path}: the folder {path.parent} does not exist; make it first")
    return _text(parsed.set(drivername=DRIVERS["sqlite"], database=str(path)))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _example(scheme: str) -> str:
    return "sqlite:///counts.db" if scheme == "sqlite" else f"{scheme}://user@host/database"
