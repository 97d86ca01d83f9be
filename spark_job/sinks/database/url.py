"""A database by its URL: ``sqlite:///counts.db``, ``postgresql://user@host/db``, ``mariadb://user@host/db``.

::

    sqlite:///PATH          relative to the working folder; sqlite:////PATH from the root
    postgresql://           psycopg; what stands behind a ? goes to libpq: ?sslmode=verify-full&sslrootcert=ca.pem
    mariadb:// mysql://     PyMySQL; ?ssl_ca=ca.pem

A URL is seen by whoever lists the processes, and stands in Spark's plans and logs, so it carries no password. That is
the first line of a file: the one that is named (``--password-file``), or the one that the environment variable
HEADRACE_DATABASE_PASSWORD_FILE names, as images of databases do it. Without either the driver's own ways are left, such
as libpq's ``~/.pgpass`` or a server that trusts a socket.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

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
class Target:
    """A database that can be opened; made by :func:`parse_target`. Holds no password and may go to executors.

    Attributes:
        url: the URL with its driver.
        password_file: file whose first line is the password.
        retry_for: how long an outage is waited for.
    """

    url: str
    password_file: Path | None = None
    retry_for: timedelta = DEFAULT_RETRY_FOR

    @property
    def dialect(self) -> str:
        """Return ``sqlite``, ``postgresql``, ``mariadb`` or ``mysql``, as the URL says."""
        return self.url.partition("+")[0]

    def __str__(self) -> str:
        """Return the URL as it was given: what messages name."""
        return self.url.replace(DRIVERS[self.dialect], self.dialect, 1)

    def with_password(self) -> URL:
        """Return the URL to connect with. The file is read anew, so that a changed password is taken up.

        Raises:
            OptionError: the file cannot be read, or holds no password.
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
            raise OptionError(f"{self.password_file}: its first line is the password, and is empty")
        return url.set(password=first)


def parse_target(
    url: str,
    password_file: Path | None = None,
    retry_for: timedelta = DEFAULT_RETRY_FOR,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """Check a URL; nothing is opened yet.

    Raises:
        OptionError: it cannot be used; the text says what would be right, and repeats no password.
    """
    scheme = url.partition(":")[0]
    if scheme not in DRIVERS:
        near = difflib.get_close_matches(scheme.lower(), DRIVERS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}://?" if near else "there are sqlite://, postgresql://, mariadb:// and mysql://"
        raise OptionError(f"{scheme}://...: no database is named like that; {hint}")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not quoted: what cannot be read may hold a password.
        raise OptionError(f"{scheme}://...: not a URL; write it like {_example(scheme)}") from None
    if parsed.password is not None or PASSWORD_PARAMETERS & parsed.query.keys():
        raise OptionError(
            f"{scheme}://...: a password in a URL can be seen by everyone on this machine; leave it out, put it into "
            f"a file, and name that by --password-file FILE or by the variable {PASSWORD_FILE_VARIABLE}"
        )
    if not parsed.database or parsed.database == ":memory:":
        what = "file" if scheme == "sqlite" else "database"
        raise OptionError(f"{url}: names no {what}; write it like {_example(scheme)}")
    if scheme == "sqlite":
        return Target(_sqlite_url(parsed), None, retry_for)
    named = password_file or (
        Path(environment[PASSWORD_FILE_VARIABLE]) if environment.get(PASSWORD_FILE_VARIABLE) else None
    )
    absolute = named.expanduser().absolute() if named is not None else None
    return Target(_text(parsed.set(drivername=DRIVERS[scheme])), absolute, retry_for)


def _sqlite_url(parsed: URL) -> str:
    if parsed.host:
        raise OptionError(f"{_text(parsed)}: a file has no host; write sqlite:/// and the path")
    path = Path(parsed.database or "").expanduser().absolute()
    if path.is_dir():
        raise OptionError(f"sqlite:///{path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OptionError(f"sqlite:///{path}: there is no folder {path.parent}; make it first")
    return _text(parsed.set(drivername=DRIVERS["sqlite"], database=str(path)))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _example(scheme: str) -> str:
    return "sqlite:///counts.db" if scheme == "sqlite" else f"{scheme}://user@host/database"
